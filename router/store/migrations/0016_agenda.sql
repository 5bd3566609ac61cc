-- +goose Up
-- When something is due is asked for one notifier at a time: see due.go.
DROP INDEX deliveries_next;
DROP INDEX deliveries_claimed;
CREATE INDEX deliveries_next ON deliveries (notifier, next_at) WHERE state = 'waiting' AND next_at > 0;
CREATE INDEX deliveries_claimed ON deliveries (notifier, claimed_until) WHERE claimed_until > 0;
