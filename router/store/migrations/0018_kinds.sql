-- +goose Up
-- What the code asks of a kind (router.Kind) is on the row, so that no statement names one: whether it finds incidents by our
-- key. An index can then be for all kinds that do.
ALTER TABLE deliveries ADD COLUMN keyed BIGINT NOT NULL DEFAULT 0;
UPDATE deliveries SET keyed = 1 WHERE kind = 'pagerduty';
DROP INDEX deliveries_key;
CREATE INDEX deliveries_key ON deliveries (key, id) WHERE keyed = 1;
DROP INDEX deliveries_paging;
CREATE INDEX deliveries_paging ON deliveries (updated_at) WHERE keyed = 1 AND open = 1;

-- 1: nothing but new numbers is owed since it was told, or claimed, last. That goes out at most every router.CosmeticEvery.
ALTER TABLE deliveries ADD COLUMN cosmetic BIGINT NOT NULL DEFAULT 0;
