-- +goose Up
-- The mark of the process that folds: it removes it when it stops. What it folds alone, if anything, and how often in a row
-- that was begun.
CREATE TABLE fold_mark (
  id BIGINT NOT NULL PRIMARY KEY,
  alone TEXT NOT NULL,
  times BIGINT NOT NULL
);
