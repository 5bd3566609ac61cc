-- +goose Up
-- When a notice was folded: its event may be gone before it.
ALTER TABLE notices ADD COLUMN folded_at BIGINT NOT NULL DEFAULT 0;
UPDATE notices SET folded_at = coalesce((SELECT received_at FROM events WHERE events.seq = notices.event), 0);

-- What is written to learn whether anything can be.
CREATE TABLE heartbeat (
  id BIGINT NOT NULL PRIMARY KEY,
  at BIGINT NOT NULL
);
INSERT INTO heartbeat (id, at) VALUES (1, 0);

-- For removing what is old.
CREATE INDEX notices_folded ON notices (folded_at, event);
CREATE INDEX incidents_resolved ON incidents (resolved_at, number) WHERE state = 'resolved';

-- For listing the incidents that are not over, which are few among all.
CREATE INDEX incidents_standing ON incidents (number) WHERE state <> 'resolved';
