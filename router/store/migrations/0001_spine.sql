-- +goose Up
-- Times are microseconds since 1970 in UTC, 0 for none. Severities are numbers, 1 info to 4 critical.

-- The journal. An event is never changed after it was written, but for what came of it.
CREATE TABLE events (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  digest      TEXT   NOT NULL UNIQUE, -- the same change told twice has the same digest
  received_at BIGINT NOT NULL,
  state       TEXT   NOT NULL,        -- waiting, folded, unreadable
  outcome     TEXT   NOT NULL DEFAULT '',
  body        TEXT   NOT NULL         -- router.Event as JSON
);
CREATE INDEX events_unfolded ON events (state, seq) WHERE state <> 'folded';

CREATE TABLE alerts (
  waba       TEXT   NOT NULL,
  flow       TEXT   NOT NULL,
  event      TEXT   NOT NULL,
  level      TEXT   NOT NULL,
  active     BIGINT NOT NULL,
  raised_at  BIGINT NOT NULL,
  cleared_at BIGINT NOT NULL,
  since      BIGINT NOT NULL,
  until      BIGINT NOT NULL,
  opened_by  BIGINT NOT NULL,
  closed_by  BIGINT NOT NULL,
  severity   BIGINT NOT NULL,
  incident   BIGINT NOT NULL,
  key        TEXT   NOT NULL,
  details    TEXT   NOT NULL, -- alertDetails as JSON
  PRIMARY KEY (waba, flow, event, level)
);
CREATE INDEX alerts_incident ON alerts (incident);

CREATE TABLE incidents (
  number          BIGINT NOT NULL PRIMARY KEY,
  key             TEXT   NOT NULL,
  waba            TEXT   NOT NULL,
  flow            TEXT   NOT NULL,
  event           TEXT   NOT NULL,
  state           TEXT   NOT NULL, -- open, acknowledged, resolved
  severity        BIGINT NOT NULL,
  peak            BIGINT NOT NULL,
  rule            TEXT   NOT NULL,
  events          BIGINT NOT NULL,
  revision        BIGINT NOT NULL,
  entries         BIGINT NOT NULL,
  opened_at       BIGINT NOT NULL,
  resolved_at     BIGINT NOT NULL,
  resolved_by     TEXT   NOT NULL,
  acknowledged_at BIGINT NOT NULL,
  acknowledged_by TEXT   NOT NULL,
  details         TEXT   NOT NULL -- incidentDetails as JSON
);
CREATE INDEX incidents_unresolved ON incidents (waba, flow) WHERE state <> 'resolved';
CREATE INDEX incidents_flow ON incidents (flow, number);

CREATE TABLE timeline (
  incident    BIGINT NOT NULL,
  n           BIGINT NOT NULL,
  at          BIGINT NOT NULL,
  recorded_at BIGINT NOT NULL,
  kind        TEXT   NOT NULL,
  text        TEXT   NOT NULL,
  event       BIGINT NOT NULL,
  PRIMARY KEY (incident, n)
);

CREATE TABLE notices (
  event BIGINT NOT NULL PRIMARY KEY,
  body  TEXT   NOT NULL -- router.Notice as JSON
);

-- The queue: one incident (or notice) owed to one notifier. It is due while state is waiting.
CREATE TABLE deliveries (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  incident      BIGINT NOT NULL, -- number, 0 for a notice
  event         BIGINT NOT NULL, -- of a notice: journal position
  notifier      TEXT   NOT NULL,
  key           TEXT   NOT NULL, -- deliveries of one notifier and key go one after another
  kind          TEXT   NOT NULL, -- what is pinned: kind, channel, routing key
  channel       TEXT   NOT NULL,
  routing_key   TEXT   NOT NULL,
  open          BIGINT NOT NULL,
  severity      BIGINT NOT NULL,
  owed          BIGINT NOT NULL DEFAULT 1, -- revision that the notifier is owed
  have          BIGINT NOT NULL DEFAULT 0, -- revision that it has
  state         TEXT   NOT NULL DEFAULT 'waiting',
  attempts      BIGINT NOT NULL DEFAULT 0,
  may_exist     BIGINT NOT NULL DEFAULT 0, -- an attempt may have made something
  was_parked    BIGINT NOT NULL DEFAULT 0, -- the cards of its incident speak of it
  claimed_until BIGINT NOT NULL DEFAULT 0,
  next_at       BIGINT NOT NULL,
  last_error    TEXT   NOT NULL DEFAULT '',
  receipt       TEXT   NOT NULL DEFAULT '{}', -- router.Receipt as JSON
  updated_at    BIGINT NOT NULL,
  UNIQUE (incident, event, notifier)
);
CREATE INDEX deliveries_waiting ON deliveries (notifier, key, id) WHERE state = 'waiting';
CREATE INDEX deliveries_parked ON deliveries (id) WHERE state = 'parked';
