// Package store keeps the journal, what was folded from it, and what is owed to whom, in SQL. It is the only
// place with SQL; what the rows mean is left to package router.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pressly/goose/v3"
)

// Config is what a Store may be told. Zero fields choose themselves, but for DSN.
type Config struct {
	// DSN is the path of a SQLite file. Required.
	DSN string
	// QueueEvents bounds the events that wait for a commit; more are refused with router.ErrBusy.
	// Default: 4096.
	QueueEvents int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets what goes wrong without a caller to tell. Default: none.
	Logger *slog.Logger
}

// Store is an open database. Its methods may be called from several goroutines.
type Store struct {
	cfg    Config
	write  *sql.DB // one connection: SQLite has one writer
	read   *sql.DB
	insert *sql.Stmt // of an event, on write

	appended chan struct{}
	owed     chan struct{}

	queue   chan *appendCall
	queued  atomic.Int64 // events in queue
	closing chan struct{}
	closed  sync.Once
	commits sync.WaitGroup // the goroutine that commits
}

//go:embed migrations/*.sql
var migrations embed.FS

// Open opens the database, makes it if there is none, and brings its tables up to date. Claims that a dead
// process left are released: they may have told somebody, and the next attempt knows it.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg.QueueEvents = cmp.Or(cfg.QueueEvents, 4096)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	write, read, err := openSQLite(ctx, cfg.DSN)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &Store{
		cfg: cfg, write: write, read: read,
		appended: make(chan struct{}, 1), owed: make(chan struct{}, 1),
		queue: make(chan *appendCall, cfg.QueueEvents), closing: make(chan struct{}),
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open database %s: %w", cfg.DSN, err), write.Close(), read.Close())
	}
	s.commits.Go(s.commitCalls)
	return s, nil
}

// prepare migrates, releases old claims and prepares what is called often.
func (s *Store) prepare(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.write, files)
	if err != nil {
		return err
	}
	have, err := provider.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	sources := provider.ListSources()
	if newest := sources[len(sources)-1].Version; have > newest {
		return fmt.Errorf("it was written by a newer flowbridge (schema %d, this one knows %d): start the newer one", have, newest)
	}
	if have < sources[len(sources)-1].Version {
		if _, err := provider.Up(ctx); err != nil {
			return err
		}
	}
	if _, err := s.write.ExecContext(ctx, `UPDATE deliveries SET claimed_until = 0 WHERE state = 'waiting' AND claimed_until <> 0`); err != nil {
		return err
	}
	s.insert, err = s.write.PrepareContext(ctx, insertEvent)
	return err
}

// Close stops accepting events, commits those that wait, and closes the database.
func (s *Store) Close() error {
	s.closed.Do(func() { close(s.closing) })
	s.commits.Wait()
	return errors.Join(s.insert.Close(), s.write.Close(), s.read.Close())
}

// Appended is pulsed after events were stored that wait to be folded.
func (s *Store) Appended() <-chan struct{} { return s.appended }

// Owed is pulsed after deliveries became due.
func (s *Store) Owed() <-chan struct{} { return s.owed }

// pulse wakes whoever waits on c; a pulse that nobody took yet is enough.
func pulse(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Ping says whether the database can be written to, by taking the writer's turn.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.write.ExecContext(ctx, `UPDATE deliveries SET state = state WHERE id = 0`)
	return err
}

// inTx runs f in a transaction of the writer.
func (s *Store) inTx(ctx context.Context, f func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// ignoreDone drops the error of a transaction that has ended by itself.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// micros and fromMicros turn times into what is stored; the zero time is 0.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

func toInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
