-- +goose Up
-- Compatible from schema 24.
-- The service in which what a link names is, at who made it: pages of two notifiers with one key are told apart by it.
ALTER TABLE links ADD COLUMN service TEXT NOT NULL DEFAULT '';
