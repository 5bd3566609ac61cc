-- +goose Up
-- Who is told first, since when a delivery is owed, and what the notifier knows of it.
ALTER TABLE deliveries ADD COLUMN class BIGINT NOT NULL DEFAULT 0;         -- router.Class
ALTER TABLE deliveries ADD COLUMN owed_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN told BIGINT NOT NULL DEFAULT 0;          -- 0 nothing, 1 something of its own is there, 2 a digest told of it
ALTER TABLE deliveries ADD COLUMN told_open BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN told_severity BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN claim TEXT NOT NULL DEFAULT '';          -- of the attempt that holds it

UPDATE deliveries SET owed_since = updated_at, told = CASE WHEN receipt = '{}' THEN 0 ELSE 1 END,
  told_open = CASE WHEN receipt = '{}' THEN 0 ELSE open END, told_severity = CASE WHEN receipt = '{}' THEN 0 ELSE severity END;

-- Each has a condition of its own, so that no query that is meant for another is answered with it.
CREATE INDEX deliveries_lane ON deliveries (notifier, class, owed_since, id) WHERE state = 'waiting' AND class >= 0;
CREATE INDEX deliveries_next ON deliveries (next_at) WHERE state = 'waiting' AND next_at > 0;
CREATE INDEX deliveries_claimed ON deliveries (claimed_until) WHERE claimed_until > 0;

-- How it stands with a notifier, for all processes that deliver to it.
CREATE TABLE lanes (
  notifier  TEXT   NOT NULL PRIMARY KEY,
  turns     BIGINT NOT NULL DEFAULT 0, -- how often something was claimed
  failures  BIGINT NOT NULL DEFAULT 0, -- different deliveries that failed in a row
  failed    BIGINT NOT NULL DEFAULT 0, -- id of the delivery that failed last
  rests     BIGINT NOT NULL DEFAULT 0, -- nothing is tried before
  refusal   TEXT   NOT NULL DEFAULT '',-- what the service said to the delivery that it refused last
  refusals  BIGINT NOT NULL DEFAULT 0  -- how many deliveries in a row it said that to
);

-- What a notifier is owed of a class has to wait: a budget is used up, or the service wants a pause.
CREATE TABLE waits (
  notifier TEXT   NOT NULL,
  class    BIGINT NOT NULL,
  until    BIGINT NOT NULL,
  PRIMARY KEY (notifier, class)
);

-- Calls that services count together, over all processes. A name holds no secret.
CREATE TABLE budgets (
  name TEXT   NOT NULL PRIMARY KEY,
  paid BIGINT NOT NULL -- when the calls made so far will be paid off
);
