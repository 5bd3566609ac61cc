package store

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// awayPause is the pause between two tries to reach a server that is away.
const awayPause = time.Second

// awaitPostgres opens the database. It waits for a server that is away, Config.StartWait at most: who starts in the
// middle of a failover, or before the server, has nothing to mend.
func (s *Store) awaitPostgres(ctx context.Context) error {
	begun := time.Now()
	for told := false; ; {
		err := s.openPostgres(ctx)
		if err == nil || !isAway(err) || time.Since(begun)+awayPause > s.cfg.StartWait {
			return err
		}
		if failed := s.release(); failed != nil {
			return errors.Join(err, failed)
		}
		if !told {
			told = true
			s.cfg.Logger.Warn("the database cannot be reached yet; trying again", "for", s.cfg.StartWait.String(), "error", err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(awayPause):
		}
	}
}

// isAway says that a server may let us in after a while as things are: it starts, stops, takes no writes yet, does not
// answer, or has no connection left (53300). Class 08 is connection_exception.
func isAway(err error) bool {
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		return ofServer(refusal) || refusal.Code == "53300" || refusal.Code[:min(2, len(refusal.Code))] == "08"
	}
	var connecting *pgconn.ConnectError
	return errors.Is(err, errReadOnly) || errors.As(err, &connecting) || errors.Is(err, context.DeadlineExceeded) ||
		pgconn.SafeToRetry(err)
}
