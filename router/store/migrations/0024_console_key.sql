-- +goose Up
-- The key that sessions of the console are signed with: all processes on the database take each other's.
CREATE TABLE console_key (
  id BIGINT NOT NULL PRIMARY KEY,
  key TEXT NOT NULL -- 32 random bytes in base64
);
