package store

import (
	"context"
	"fmt"
)

// PretendOlder makes the journal up to a position one that an older version has folded.
func (s *Store) PretendOlder(ctx context.Context, upTo int64) error {
	_, err := s.write.ExecContext(ctx, `UPDATE remembered SET value = ? WHERE name = 'reduce_to'`, fmt.Sprint(upTo))
	return err
}

// PretendOldWords makes incidents what an older version has written: their words have no team and no rule.
func (s *Store) PretendOldWords(ctx context.Context) error {
	_, err := s.write.ExecContext(ctx, `UPDATE incidents SET words = 'checkout'`)
	return err
}

// StoredAddresses returns the addresses of deliveries as they are stored.
func (s *Store) StoredAddresses(ctx context.Context) ([]string, error) {
	return all(ctx, s.read, `SELECT DISTINCT channel FROM deliveries ORDER BY channel`, nil, scanText)
}

// StoredRoutingKeys returns the routing keys of deliveries as they are stored.
func (s *Store) StoredRoutingKeys(ctx context.Context) ([]string, error) {
	return all(ctx, s.read, `SELECT DISTINCT routing_key FROM deliveries`, nil, scanText)
}

// Asked returns how many queries were asked of the database for reading.
func (s *Store) Asked() int64 { return s.read.asked.Load() }

// CompatibleFrom is how a migration says for whom its tables are.
var CompatibleFrom = compatibleFrom
