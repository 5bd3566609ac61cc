-- +goose Up
-- The processes that deliver, each until when its lease holds by the database's clock: they share the notifiers out among
-- themselves. See owners.go.
CREATE TABLE processes (
	name  TEXT PRIMARY KEY,
	until BIGINT NOT NULL
);
