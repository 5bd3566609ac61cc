-- +goose Up
-- Digests that were begun and may have been told, for as long as nobody knows.
CREATE TABLE digests (
  id    TEXT   NOT NULL PRIMARY KEY, -- as the service was told
  looks BIGINT NOT NULL DEFAULT 0,   -- times that we could not look whether it is there
  body  TEXT   NOT NULL              -- digestBody as JSON
);
ALTER TABLE deliveries ADD COLUMN digest TEXT NOT NULL DEFAULT ''; -- the one of these that tells of it
