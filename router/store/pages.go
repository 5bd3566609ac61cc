package store

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
)

// ConsoleKey returns the key that sessions of the console are signed with, and makes it the first time.
func (s *Store) ConsoleKey(ctx context.Context) ([]byte, error) {
	key, err := s.consoleKey(ctx)
	if err != nil || key != nil {
		return key, err
	}
	made := make([]byte, 32)
	rand.Read(made) // it never fails
	err = s.inTx(ctx, func(tx *txn) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO console_key (id, key) VALUES (1, ?) ON CONFLICT (id) DO NOTHING`,
			base64.StdEncoding.EncodeToString(made))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store the key of the console: %w", err)
	}
	key, err = s.consoleKey(ctx) // another process may have been first
	if err == nil && key == nil {
		err = errors.New("the key of the console was not kept")
	}
	return key, err
}

// consoleKey returns what is stored; nil for none.
func (s *Store) consoleKey(ctx context.Context) ([]byte, error) {
	found, err := all(ctx, s.read, `SELECT key FROM console_key WHERE id = 1`, nil, scanText)
	if err != nil {
		return nil, fmt.Errorf("read the key of the console: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	key, err := base64.StdEncoding.DecodeString(found[0])
	if err != nil || len(key) < 32 {
		return nil, errors.New(
			"read the key of the console: it is damaged: empty the table console_key, and everybody signs in anew")
	}
	return key, nil
}

// pageStampQuery costs what is open and waits, not the whole history: each part is over a partial index or a key.
const pageStampQuery = `
	SELECT 1, coalesce(max(seq), 0), 0, 0 FROM events
	UNION ALL SELECT 2, count(*), coalesce(max(seq), 0), 0 FROM events WHERE state <> 'folded'
	UNION ALL SELECT 3, count(*), CAST(coalesce(sum(revision), 0) AS BIGINT), 0 FROM incidents WHERE state <> 'resolved'
	UNION ALL SELECT 4, coalesce(max(number), 0), 0, 0 FROM incidents
	UNION ALL SELECT 5, count(*), 0, 0 FROM deliveries WHERE state = 'waiting'
	UNION ALL SELECT 6, count(*), 0, 0 FROM deliveries WHERE state = 'parked'
	UNION ALL SELECT 7, count(*), 0, 0 FROM deliveries WHERE claimed_until > 0
	UNION ALL SELECT 8, CAST(coalesce(sum(turns), 0) AS BIGINT), CAST(coalesce(sum(failures), 0) AS BIGINT),
		CAST(coalesce(sum(refusals), 0) AS BIGINT) FROM lanes
	ORDER BY 1`

// PageStamp names the state of all that pages of the console show: the newest journal position, how far the fold is,
// the revisions of incidents that are not resolved, and what the deliveries came to.
func (s *Store) PageStamp(ctx context.Context) (string, error) {
	parts, err := all(ctx, s.read, pageStampQuery, nil, func(row scanner) (n [4]int64, err error) {
		err = row.Scan(&n[0], &n[1], &n[2], &n[3])
		return n, err
	})
	if err != nil {
		return "", fmt.Errorf("read what changed: %w", err)
	}
	return fmt.Sprint(parts), nil
}
