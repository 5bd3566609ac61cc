-- +goose Up
-- Every attempt at a delivery, with what was sent and answered, without credentials. See attempts.go.
CREATE TABLE attempts (
	delivery BIGINT NOT NULL,
	n        BIGINT NOT NULL, -- from 1 for each delivery
	revision BIGINT NOT NULL,
	at       BIGINT NOT NULL,
	took     BIGINT NOT NULL, -- microseconds
	result   TEXT   NOT NULL,
	status   BIGINT NOT NULL, -- of the last answer; 0 for none
	error    TEXT   NOT NULL,
	claim    TEXT   NOT NULL, -- under which it was made: one is kept once
	told_by  BIGINT NOT NULL, -- the delivery whose attempt holds the exchange, where a digest told of several; else 0
	exchange BYTEA  NOT NULL, -- requests and answers, compressed
	PRIMARY KEY (delivery, n)
);
CREATE INDEX attempts_at ON attempts (at);
