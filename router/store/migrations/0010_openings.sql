-- +goose Up
-- Where a delivery is told, whatever the rules call that (Target.ID); deliveries that share it and a key go one after
-- another. Which opening it tells of, since when the service may know of that, and when it took something last.
ALTER TABLE deliveries ADD COLUMN target TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN opening BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN tried_since BIGINT NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN told_at BIGINT NOT NULL DEFAULT 0;

DROP INDEX deliveries_waiting;
CREATE INDEX deliveries_waiting ON deliveries (target, key, id) WHERE state = 'waiting';
