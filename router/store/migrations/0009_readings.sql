-- +goose Up
-- What Meta measured of an alert, one number at most for each slot of time: see router.AlertReading. NULL was not sent.
CREATE TABLE readings (
  waba     TEXT   NOT NULL,
  flow     TEXT   NOT NULL,
  event    TEXT   NOT NULL,
  level    TEXT   NOT NULL,
  slot     BIGINT NOT NULL,
  at       BIGINT NOT NULL, -- of the newest in the slot, whose numbers these are
  value    DOUBLE PRECISION NOT NULL,
  p50      DOUBLE PRECISION,
  requests DOUBLE PRECISION,
  PRIMARY KEY (waba, flow, event, level, slot)
);
CREATE INDEX readings_slot ON readings (slot);

-- For asking of an old event whether anything needs it, and for what became of refreshes before there were readings:
-- an entry of the timeline for each. None is written any more, and those that are there are removed little by little.
CREATE INDEX timeline_event ON timeline (event) WHERE event > 0;
CREATE INDEX timeline_refreshed ON timeline (incident, n) WHERE kind = 'refreshed';
CREATE INDEX alerts_opened ON alerts (opened_by) WHERE opened_by > 0;
CREATE INDEX alerts_closed ON alerts (closed_by) WHERE closed_by > 0;
