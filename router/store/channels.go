package store

import (
	"context"
	"fmt"

	"flowbridge/router"
)

// maxReceipts is how many of an address are looked through at most, among so many deliveries.
const (
	maxReceipts       = 200
	scannedDeliveries = 20_000
)

// Receipts returns the newest receipts of what was told at an address, whatever came of it, newest first: its kind may
// learn from them what the service calls the place. It goes through the newest deliveries: it is for the rare case that
// nobody else knows.
func (s *Store) Receipts(ctx context.Context, kind router.Kind, address string) ([]router.Receipt, error) {
	found, err := all(ctx, s.read,
		`SELECT receipt FROM (SELECT id, kind, channel, receipt FROM deliveries ORDER BY id DESC LIMIT ?) AS newest
			WHERE kind = ? AND channel = ? AND receipt <> '{}' ORDER BY id DESC LIMIT ?`,
		[]any{scannedDeliveries, string(kind), address, maxReceipts}, func(row scanner) (r router.Receipt, err error) {
			err = row.Scan(legibleJSON{&r})
			return r, err
		})
	if err != nil {
		return nil, fmt.Errorf("read receipts: %w", err)
	}
	return found, nil
}
