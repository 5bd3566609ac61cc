-- +goose Up
-- Compatible from schema 24.
-- What is new and critical goes before all else in its lane.
CREATE INDEX deliveries_critical ON deliveries (notifier, owed_since, id) WHERE state = 'waiting' AND class = 0 AND severity = 4;
