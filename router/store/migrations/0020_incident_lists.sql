-- +goose Up
-- What lists of incidents are narrowed by and the database cannot compute: see lists.go. No index covers what an event
-- changes, so that folding costs what it did.
ALTER TABLE incidents ADD COLUMN silenced BIGINT NOT NULL DEFAULT 0;
ALTER TABLE incidents ADD COLUMN labels TEXT NOT NULL DEFAULT ''; -- a line for each: team=payments
ALTER TABLE incidents ADD COLUMN words TEXT NOT NULL DEFAULT '';  -- title, names and facts, in lower case
CREATE INDEX incidents_account ON incidents (waba, number);
CREATE INDEX incidents_opened ON incidents (opened_at);
