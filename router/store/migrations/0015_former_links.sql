-- +goose Up
-- What a service called a page before it was opened anew there: what is done to the old one belongs to the same incident.
CREATE TABLE former_links (
	id TEXT NOT NULL,
	incident BIGINT NOT NULL,
	PRIMARY KEY (id, incident)
);
CREATE INDEX former_links_incident ON former_links (incident);
