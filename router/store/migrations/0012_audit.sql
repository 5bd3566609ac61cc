-- +goose Up
-- What people and operators did: who, how that is known, from where, when, what, and what came of it.
CREATE TABLE audit (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	at BIGINT NOT NULL,
	who TEXT NOT NULL,
	verified TEXT NOT NULL,
	origin TEXT NOT NULL,
	what TEXT NOT NULL,
	result TEXT NOT NULL,
	event BIGINT NOT NULL
);
CREATE INDEX audit_at ON audit (at);
