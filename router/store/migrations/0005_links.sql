-- +goose Up
-- What a service calls an incident, by the page that it knows it through. Several of ours can be one of theirs.
CREATE TABLE links (
  incident BIGINT NOT NULL,
  notifier TEXT   NOT NULL,
  key      TEXT   NOT NULL,
  id       TEXT   NOT NULL, -- the service's own
  number   BIGINT NOT NULL, -- as people say it there, 0 where it is not known
  url      TEXT   NOT NULL,
  stale    BIGINT NOT NULL DEFAULT 0, -- the page was closed since: should it open anew, the service makes another
  PRIMARY KEY (incident, notifier, key)
);
CREATE INDEX links_id ON links (id);

-- Pages are found by the key that their service says, and those that have no link yet by when they were told.
CREATE INDEX deliveries_key ON deliveries (key, id) WHERE kind = 'pagerduty';
CREATE INDEX deliveries_paging ON deliveries (updated_at) WHERE kind = 'pagerduty' AND open = 1;

-- What a service said of incidents that are to be looked up there first.
CREATE TABLE postponed (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  about       TEXT   NOT NULL,        -- the service's id of its incident
  digest      TEXT   NOT NULL UNIQUE,
  received_at BIGINT NOT NULL,
  attempts    BIGINT NOT NULL DEFAULT 0,
  next_at     BIGINT NOT NULL,
  body        TEXT   NOT NULL         -- router.Events as JSON
);
CREATE INDEX postponed_about ON postponed (about, id);
