-- +goose Up
-- What is kept of an event: 0 all of it, 1 no more of what it said than a rule shows, 2 nothing but its digest.
ALTER TABLE events ADD COLUMN reduced BIGINT NOT NULL DEFAULT 0;

-- Whose a filled form is of which something is kept: a keyed hash of a telephone number or id, so that it can be found when
-- a person is to be forgotten.
CREATE TABLE people (
  person TEXT   NOT NULL,
  event  BIGINT NOT NULL,
  PRIMARY KEY (person, event)
);
CREATE INDEX people_event ON people (event);

-- Single values: the key of the hashes, and how far what an older flowbridge stored is reduced.
CREATE TABLE remembered (
  name  TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
);
INSERT INTO remembered (name, value) SELECT 'reduce_from', '0' UNION ALL SELECT 'reduce_to', CAST(coalesce(max(seq), 0) AS TEXT) FROM events;
