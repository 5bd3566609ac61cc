-- +goose Up
-- Compatible from schema 24.
-- Of what incidents an attempt failed, among all deliveries that wait: the console asks with every list, and in a storm
-- thousands wait.
CREATE INDEX deliveries_failing ON deliveries (incident) WHERE state = 'waiting' AND failing_since > 0;
