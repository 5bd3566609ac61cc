-- +goose Up
-- When a timer of an incident is due next, 0 for none; and until when an alert's recovery is held back.
ALTER TABLE incidents ADD COLUMN wake_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX incidents_wake ON incidents (wake_at) WHERE wake_at > 0;
ALTER TABLE alerts ADD COLUMN held_until BIGINT NOT NULL DEFAULT 0;

-- What people wish not to be told of.
CREATE TABLE silences (
  id       TEXT   NOT NULL PRIMARY KEY,
  since    BIGINT NOT NULL,
  until    BIGINT NOT NULL, -- 0: until what it covers has recovered
  ended_at BIGINT NOT NULL, -- 0 while it holds
  body     TEXT   NOT NULL  -- router.Silence as JSON
);
CREATE INDEX silences_holding ON silences (since) WHERE ended_at = 0;
