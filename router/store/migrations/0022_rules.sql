-- +goose Up
-- Rules as they were once in force, with dots in the place of credentials. See versions.go.
CREATE TABLE rules_versions (
	digest    TEXT   NOT NULL PRIMARY KEY,
	first_at  BIGINT NOT NULL, -- first in force
	loaded_at BIGINT NOT NULL, -- loaded last
	loaded_by TEXT   NOT NULL, -- start or reload
	files     BYTEA  NOT NULL  -- []router.RulesFile as JSON, compressed
);
ALTER TABLE incidents ADD COLUMN rules TEXT NOT NULL DEFAULT ''; -- digest of those in force when it opened
CREATE INDEX incidents_rules ON incidents (rules) WHERE rules <> '';

-- What each rule did, by day.
CREATE TABLE rule_hits (
	day     BIGINT NOT NULL, -- its beginning in UTC
	rule    TEXT   NOT NULL,
	hits    BIGINT NOT NULL,
	pages   BIGINT NOT NULL,
	last_at BIGINT NOT NULL,
	PRIMARY KEY (day, rule)
);

-- What was seen of the other sides, when last.
CREATE TABLE seen (
	what   TEXT   NOT NULL PRIMARY KEY, -- router.SightKind
	at     BIGINT NOT NULL,
	detail TEXT   NOT NULL
);
