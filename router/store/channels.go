package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"flowbridge/router"
)

// ChannelID returns what a service calls the channel that messages to a #name went to, by the newest receipt that says it;
// "" where none does. It walks the deliveries from the newest on: it is for the rare case that nobody else knows.
func (s *Store) ChannelID(ctx context.Context, name string) (string, error) {
	var text []byte
	err := s.read.QueryRowContext(ctx, `SELECT receipt FROM deliveries WHERE channel = ?
		AND receipt LIKE '%"channel":"%' AND receipt NOT LIKE '%"channel":"#%' ORDER BY id DESC LIMIT 1`, name).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	var receipt router.Receipt
	if err == nil {
		err = json.Unmarshal(text, &receipt)
	}
	if err != nil {
		return "", fmt.Errorf("read the id of a channel: %w", err)
	}
	return receipt.Channel, nil
}
