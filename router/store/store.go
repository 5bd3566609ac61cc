// Package store keeps the journal, what was folded from it, and what is owed to whom, in SQL. It is the only
// place with SQL; what the rows mean is left to package router.
package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"flowbridge/router"
)

// Config is what a Store may be told. A zero field takes its default, but for DSN.
type Config struct {
	// DSN is the path of a SQLite file, or the URL of a PostgreSQL database (postgres://). Required.
	DSN string
	// QueueEvents bounds the events that wait for a commit; more are refused with router.ErrBusy.
	// Default: 4096.
	QueueEvents int
	// Timeout bounds a query or a transaction on PostgreSQL, with all that waits for locks in it. Default: 8 s.
	Timeout time.Duration
	// StartWait is how long Open waits for a PostgreSQL server that is away: it starts, fails over, or is not reached.
	// Default: not at all.
	StartWait time.Duration
	// DeadAfter is how long PostgreSQL waits for a process that says nothing while it holds the right to fold, and half
	// of it in the middle of a transaction; others take over after that. The router must ask for what waits more often
	// (it does so every 5 s), and it should be well under the time that a claim holds. Default: 7 s.
	DeadAfter time.Duration
	// SessionLife bounds how long one session of PostgreSQL is used, so that a name that leads to another server by now
	// is followed. Default: 5 min.
	SessionLife time.Duration
	// Seals are secrets from which the keys are derived that encrypt routing keys at rest: the first encrypts, all
	// decrypt. Default: routing keys are stored as they are.
	Seals []router.Secret
	// Target says where a notifier's messages go by the rules: its routing key stands in for one that none of Seals
	// decrypts. It is not called by Open. Default: nothing stands in.
	Target func(notifier string) (router.Target, bool)
	// KeepAttempts is how long attempts at deliveries are kept, with what was sent and answered. Default: 30 days; less
	// than 0: none are.
	KeepAttempts time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets what goes wrong without a caller to tell. Default: none.
	Logger *slog.Logger
}

// Store is an open database. Its methods may be called from several goroutines.
type Store struct {
	cfg   Config
	d     *dialect
	write *pool
	read  *pool
	// other processes on the same database; nil where there can be none
	peers *peers
	store func(ctx context.Context, rows []eventRow) (fresh []bool, err error) // writes events, all or none

	opened []io.Closer // in order

	writers, readers generation // of the sessions of write and read, on PostgreSQL
	onlyReads        bool       // a standby will do
	gate             gate       // of connections, on PostgreSQL
	schema           int64      // newest that this program knows

	peopleKey []byte  // of pseudonyms
	seals     []*seal // of routing keys, the one that encrypts first

	appended chan struct{}
	owed     chan struct{}
	erased   chan struct{} // pulsed after something was removed or overwritten
	eraser   *sql.DB       // empties the log of a SQLite file; nil on PostgreSQL
	held     []heldFile    // the files of SQLite

	shared     chan *sharedCall // small pieces of work for the writer; nil on PostgreSQL
	sharedOver chan struct{}    // closed after the last was run

	queue   chan *appendCall
	queued  atomic.Int64 // events in queue
	closing chan struct{}
	closed  sync.Once
	commits sync.WaitGroup // the goroutines that commit and erase

	intake    *pool     // for what arrives, on PostgreSQL
	awaySince time.Time // since when its server has been away, as far as commitCalls knows; zero: it is there
	inbox     *inbox    // what arrived and is not in the journal yet; nil on PostgreSQL
	agenda    agenda
	crowd     crowd

	swept, reduced progress
}

// newStore returns a Store without a database.
func newStore(cfg Config) *Store {
	cfg.QueueEvents = cmp.Or(cfg.QueueEvents, 4096)
	cfg.Timeout = cmp.Or(cfg.Timeout, 8*time.Second)
	cfg.KeepAttempts = cmp.Or(cfg.KeepAttempts, 30*24*time.Hour)
	cfg.DeadAfter = cmp.Or(cfg.DeadAfter, 7*time.Second)
	cfg.SessionLife = cmp.Or(cfg.SessionLife, 5*time.Minute)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Store{
		cfg:      cfg,
		appended: make(chan struct{}, 1), owed: make(chan struct{}, 1), erased: make(chan struct{}, 1),
		queue: make(chan *appendCall, cfg.QueueEvents), closing: make(chan struct{}),
		agenda: agenda{slots: map[string]slot{}}, crowd: newCrowd(),
	}
}

// Open opens the database, makes it if there is none, and brings its tables up to date.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := CheckDSN(cfg.DSN); err != nil {
		return nil, err
	}
	s := newStore(cfg)
	open := s.openSQLite
	if IsPostgres(cfg.DSN) {
		open = s.awaitPostgres
	}
	if err := open(ctx); err != nil {
		return nil, fmt.Errorf("open database %s: %w", DisplayName(cfg.DSN), errors.Join(withGrant(err), s.release()))
	}
	s.commits.Go(s.commitCalls)
	if s.shared != nil {
		s.commits.Go(s.shareCalls)
	}
	if s.eraser != nil {
		s.commits.Go(s.eraseLogs)
	}
	if s.inbox != nil {
		s.commits.Go(s.tidyInbox)
	}
	return s, nil
}

// Close stops accepting events, commits those that wait, and closes the database. A SQLite file that was removed
// meanwhile is made anew.
func (s *Store) Close() error {
	s.closed.Do(func() { close(s.closing) })
	s.commits.Wait()
	return errors.Join(s.saveDisplaced(context.Background()), s.release())
}

// release gives up what was opened, in reverse order.
func (s *Store) release() (err error) {
	for _, c := range slices.Backward(s.opened) {
		err = errors.Join(err, c.Close())
	}
	s.opened = nil
	return err
}

// Appended is pulsed after events were stored that wait to be folded.
func (s *Store) Appended() <-chan struct{} { return s.appended }

// Owed is pulsed after deliveries became due.
func (s *Store) Owed() <-chan struct{} { return s.owed }

// wakeFold and wakeDelivery wake whoever folds, and whoever delivers, in any process.
func (s *Store) wakeFold() {
	pulse(s.appended)
	s.peers.appended()
}

// wakeDelivery names the notifiers whose deliveries have changed, where that is known.
func (s *Store) wakeDelivery(notifiers ...string) {
	s.agenda.changed(notifiers...)
	pulse(s.owed)
	s.peers.owed(notifiers)
}

// pulse wakes whoever waits on c; a pulse that nobody took yet is enough.
func pulse(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Ping says whether the database can be written to, by writing.
func (s *Store) Ping(ctx context.Context) error {
	ctx, cancel := s.d.bounded(ctx)
	defer cancel()
	_, err := s.write.ExecContext(ctx, `UPDATE heartbeat SET at = ? WHERE id = 1`, micros(s.cfg.Now()))
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
