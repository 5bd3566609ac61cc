-- +goose Up
-- Compatible from schema 24.
-- What stands, by number, for lists that ask for `number > 0`: nobody else may take it. As long as its statistics said that
-- nothing stands, PostgreSQL went through all of it for each flow of a batch.
DROP INDEX incidents_standing;
CREATE INDEX incidents_standing ON incidents (number) WHERE state <> 'resolved' AND number > 0;
