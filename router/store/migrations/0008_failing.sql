-- +goose Up
-- Since when a delivery fails, and how often in a row it was refused: what is parked is tried again now and then.
ALTER TABLE deliveries ADD COLUMN failing_since BIGINT NOT NULL DEFAULT 0; -- first failed attempt since the last success
ALTER TABLE deliveries ADD COLUMN refusals BIGINT NOT NULL DEFAULT 0;      -- until it was told twice in a row, or retried by a person
ALTER TABLE deliveries ADD COLUMN unparked BIGINT NOT NULL DEFAULT 0;      -- how often it was told, or retried by a person, after it was parked

UPDATE deliveries SET failing_since = updated_at WHERE state = 'parked' OR state = 'waiting' AND attempts > 0 AND last_error <> '';
UPDATE deliveries SET refusals = 1 WHERE state = 'parked';

-- next_at of a parked delivery is when it is tried again, 0 for never.
CREATE INDEX deliveries_probes ON deliveries (notifier, class, next_at, id) WHERE state = 'parked' AND next_at > 0;

-- Since when a class waits: a long wait is a pause that people should know of.
ALTER TABLE waits ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
