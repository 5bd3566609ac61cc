-- +goose Up
-- Incidents that are over and whose page a person opened again in its service: the fold must know them when the next
-- incident opens.
ALTER TABLE incidents ADD COLUMN reopened BIGINT NOT NULL DEFAULT 0;
CREATE INDEX incidents_reopened ON incidents (waba, flow) WHERE reopened = 1;
