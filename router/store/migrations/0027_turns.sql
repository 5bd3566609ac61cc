-- +goose Up
-- Compatible from schema 24.
-- Whose turn it is in a lane: as deliveries_lane, but SQLite took the condition on the class for a range and sorted
-- all that waits of a lane whenever one class alone was asked for.
CREATE INDEX deliveries_turn ON deliveries (notifier, class, owed_since, id) WHERE state = 'waiting';
DROP INDEX deliveries_lane;
-- What is tried under a key: few, however many wait under it.
CREATE INDEX deliveries_tried ON deliveries (target, key) WHERE claimed_until > 0;
-- Older ones that matter less are looked for with everything that is owed: the class makes the index enough for that.
DROP INDEX deliveries_waiting;
CREATE INDEX deliveries_waiting ON deliveries (target, key, id, class) WHERE state = 'waiting';
