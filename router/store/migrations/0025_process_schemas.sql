-- +goose Up
-- Compatible from schema 24.
-- The schema that each process knows: tables are not changed under one that would not understand them any more.
ALTER TABLE processes ADD COLUMN schema BIGINT NOT NULL DEFAULT 24;
