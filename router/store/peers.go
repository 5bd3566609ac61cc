package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"flowbridge/router"
)

// peers coordinates the processes on one PostgreSQL database: an advisory lock elects who folds, leases say who
// delivers to which notifier (owners), and LISTEN/NOTIFY wakes the rest. A nil peers is that of SQLite, where there is
// one process: every method says so.
//
// Who folds holds an advisory lock of its session, and folds and commits on that very session. So whoever has lost
// the session can commit no more, and no clock is compared. The server ends the session of a process that says
// nothing for a while (Config.DeadAfter): the router asks for what waits more often than that. A server that takes no
// writes any more gives such locks too: there the process resigns (renew).
type peers struct {
	s    *Store
	name string // of this process, to know its own calls

	mu      sync.Mutex
	conn    *sql.Conn // the session that holds the lock; nil while another process folds
	checked time.Time // when its server was last seen to take writes
	lost    bool      // the session under which the batch at hand was begun is over

	folding atomic.Bool // conn is not nil: this process needs no call from others to fold

	fold, deliver chan struct{} // pulsed when the others are to be called
	names         calls         // to which notifiers something is owed, by then
	trouble       calls         // which notifiers need help, by then
	helping       chan struct{} // pulsed when there are some
	owners        *owners
	stop          context.CancelFunc
	work          sync.WaitGroup
}

const (
	// channel is what processes call each other on; a call says what there is to do, and who calls.
	channel      = "flowbridge"
	callFold     = "fold"
	callDelivery = "deliver"
	callHelp     = "help" // an attempt failed: any process may try the next
	// callPause bounds how often a process calls: a call is a transaction.
	callPause = 10 * time.Millisecond
	// A lock is named by a class and the schema, so that two bridges can share a database.
	foldLock  = 0x666c6f77
	sweepLock = foldLock + 1
)

func newPeers(s *Store, config *pgx.ConnConfig) *peers {
	p := &peers{s: s, name: rand.Text(), fold: make(chan struct{}, 1), deliver: make(chan struct{}, 1),
		helping: make(chan struct{}, 1)}
	p.owners = newOwners(s, p.name)
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.work.Go(func() { p.listen(ctx, config) })
	p.work.Go(func() { p.notifyLoop(ctx) })
	p.work.Go(func() { p.owners.keep(ctx) })
	return p
}

// StopFolding gives up the right to fold, so that another process takes over at once: for one that still has work of
// other kinds to end. Whoever folds afterwards asks for it anew.
func (s *Store) StopFolding() {
	s.peers.resign()
}

// StopDelivering gives up the notifiers that this process owns, so that others take them over at once: for one that
// begins no more attempts. Due must not be called afterwards.
func (s *Store) StopDelivering() {
	s.peers.stopDelivering()
}

func (p *peers) stopDelivering() {
	if p == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	p.owners.resign(ctx)
	p.owed(nil)
}

// shares returns how notifiers are shared out among processes; nil where there is only this one.
func (p *peers) shares() *owners {
	if p == nil {
		return nil
	}
	return p.owners
}

// Folds says whether this process has the right to fold: of several on one database one has it, or none for a moment.
func (s *Store) Folds() bool { return s.peers.folds() }

func (p *peers) folds() bool { return p == nil || p.folding.Load() }

// turn reads what this process is to fold; it reads nothing while another process folds.
func (p *peers) turn(ctx context.Context, s *Store, read func(q querier) error) error {
	if p == nil {
		return read(s.read)
	}
	conn, err := p.begin(ctx)
	if err != nil || conn == nil {
		return err
	}
	err = read(&session{conn, s.d})
	p.done(conn, err)
	return err
}

// inTurn commits what was folded since turn.
func (p *peers) inTurn(ctx context.Context, s *Store, f func(tx *txn) error) error {
	if p == nil {
		return s.inTx(ctx, f)
	}
	ctx, cancel := s.d.bounded(ctx)
	defer cancel()
	conn, err := p.commit(ctx)
	if err != nil {
		return err
	}
	err = s.inTxOn(ctx, conn, f)
	p.done(conn, err)
	return err
}

// Close gives up the right to fold, and tells the others, also of what was handed back last.
func (p *peers) Close() error {
	p.stop()
	p.work.Wait()
	p.stopDelivering()
	p.resign()
	return nil
}

func (p *peers) resign() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	select {
	case <-p.deliver:
		p.notifyDelivery(ctx)
	default:
	}
	if p.conn == nil {
		return
	}
	p.unlock(ctx)
	p.notify(ctx, callFold, "")
}

// begin returns the session to read a batch with, or nil if another process folds.
func (p *peers) begin(ctx context.Context) (*sql.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.renew(ctx)
	p.lost = false
	return p.hold(ctx)
}

// checkEvery is how often a session that is in no pool is asked whether its server still takes writes.
const checkEvery = time.Second

// renew gives up the right to fold where it is worth nothing any more: the session reads from a server that takes no
// writes, and the events that wait are elsewhere. p.mu is held.
func (p *peers) renew(ctx context.Context) {
	if p.conn == nil || time.Since(p.checked) < checkEvery {
		return
	}
	err := onServer(p.conn, func(conn *pgconn.PgConn) error { return p.check(ctx, conn) })
	p.checked = time.Now()
	if err != nil {
		bounded, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		p.unlock(bounded)
	}
}

var errOutdated = errors.New("the session is too old")

// commit returns the session to commit a batch with, which is the one that it was begun with. It wraps
// router.ErrConflict if there is none: another process may have folded the same events.
func (p *peers) commit(ctx context.Context) (*sql.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost {
		return nil, fmt.Errorf("%w: the session that this was read with has ended, another process may fold by now",
			router.ErrConflict)
	}
	conn, err := p.hold(ctx)
	if err == nil && conn == nil {
		err = fmt.Errorf("%w: another process folds", router.ErrConflict)
	}
	return conn, err
}

// done looks at what an error did to the session.
func (p *peers) done(conn *sql.Conn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && conn == p.conn && conn != nil && ended(conn) {
		p.drop()
	}
}

// hold takes the lock if nobody has it. p.mu is held.
func (p *peers) hold(ctx context.Context) (*sql.Conn, error) {
	if p.conn != nil {
		return p.conn, nil
	}
	ctx, cancel := p.s.d.bounded(ctx)
	defer cancel()
	conn, err := p.s.write.Conn(ctx)
	if err != nil {
		return nil, err
	}
	mine, err := tryLock(ctx, conn, foldLock)
	if err == nil && mine {
		if err = p.take(ctx, conn); err == nil {
			return conn, nil
		}
	}
	if err != nil {
		discard(conn) // with the lock, if it was taken
		return nil, err
	}
	return nil, conn.Close()
}

// take makes a session that has the lock the one that folds. p.mu is held.
func (p *peers) take(ctx context.Context, conn *sql.Conn) error {
	err := p.s.ownSessions(ctx)
	if err == nil {
		err = onServer(conn, func(c *pgconn.PgConn) error { return stays(ctx, c) })
	}
	if err == nil {
		_, err = conn.ExecContext(ctx, fmt.Sprintf(`SET idle_session_timeout = %d`, p.s.cfg.DeadAfter.Milliseconds()))
	}
	if err != nil {
		return err
	}
	p.conn, p.checked = conn, time.Now()
	p.folding.Store(true)
	// What the fold reads with other sessions must be no older than its right to: those that were made before may be of
	// a server that it has left.
	p.s.readers.Add(1)
	return nil
}

func tryLock(ctx context.Context, conn *sql.Conn, class int) (mine bool, err error) {
	err = conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1, hashtext(current_schema()))`, class).Scan(&mine)
	return mine, err
}

// alone returns what ends a time in which no other process sweeps, or nil while another one does.
func (p *peers) alone(ctx context.Context) (done func(), err error) {
	if p == nil {
		return func() {}, nil
	}
	bounded, cancel := p.s.d.bounded(ctx)
	defer cancel()
	conn, err := p.s.write.Conn(bounded)
	if err != nil {
		return nil, err
	}
	mine, err := tryLock(bounded, conn, sweepLock)
	if err != nil || !mine {
		discard(conn)
		return nil, err
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		// the end of the session, which gives it up in any case, may come later
		_, _ = conn.ExecContext(ctx, `SELECT pg_advisory_unlock_all()`)
		discard(conn)
	}, nil
}

// unlock gives up the lock at once, and ends the session, whose end may come later. p.mu is held.
func (p *peers) unlock(ctx context.Context) {
	_, _ = p.conn.ExecContext(ctx, `SELECT pg_advisory_unlock_all()`)
	p.drop()
}

// drop ends the session, and with it the lock. Whatever was read with it is committed with no other. p.mu is held.
func (p *peers) drop() {
	discard(p.conn)
	p.conn, p.lost = nil, true
	p.folding.Store(false)
}

// discard closes a session instead of handing it back.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // its way of saying so
	_ = conn.Close()
}

// notifyLoop notifies the other processes, soon after somebody wanted it.
func (p *peers) notifyLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.fold:
			if !p.folding.Load() {
				p.notify(ctx, callFold, "")
			}
		case <-p.deliver:
			p.notifyDelivery(ctx)
		case <-p.helping:
			if names := p.trouble.take(); names != "" {
				p.notify(ctx, callHelp, names)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(callPause):
		}
	}
}

// notify is not worth waiting for the disk, nor a fault: whoever misses it looks by himself soon.
// A stop does not cut it short: it may be about what the stop handed back.
func (p *peers) notify(ctx context.Context, what, about string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
	defer cancel()
	_, _ = p.s.write.DB.ExecContext(ctx, `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`,
		channel, what+" "+p.name+" "+about)
}

func (p *peers) notifyDelivery(ctx context.Context) { p.notify(ctx, callDelivery, p.names.take()) }

// appended has whoever folds notified, since events wait.
func (p *peers) appended() {
	if p != nil {
		pulse(p.fold)
	}
}

// owed has the others notified, since something is owed to some notifiers, or to any where none is named.
func (p *peers) owed(notifiers []string) {
	if p == nil {
		return
	}
	p.names.add(notifiers)
	pulse(p.deliver)
}

// failing has the others notified, to help with a notifier.
func (p *peers) failing(notifier string) {
	if p == nil {
		return
	}
	p.trouble.add([]string{notifier})
	pulse(p.helping)
}

// mostCalled bounds the names in a call, in bytes: a call may have 8,000.
const mostCalled = 7000

// calls are names of notifiers for the next call.
type calls struct {
	mu    sync.Mutex
	names map[string]bool
	all   bool // it is about any of them
}

func (c *calls) add(notifiers []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = c.all || len(notifiers) == 0
	for _, name := range notifiers {
		if c.names == nil {
			c.names = map[string]bool{}
		}
		c.names[name] = true
	}
}

// take returns the names as JSON, "" for all.
func (c *calls) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, err := json.Marshal(slices.Sorted(maps.Keys(c.names)))
	if c.all || err != nil || len(text) > mostCalled || len(c.names) == 0 {
		text = nil
	}
	c.names, c.all = nil, false
	return string(text)
}

// listen receives the notifications of the others, on a connection of its own, and on a new one once that is over.
func (p *peers) listen(ctx context.Context, config *pgx.ConnConfig) {
	var unheard router.LogLimiter
	for ctx.Err() == nil {
		err := p.listenOn(ctx, config)
		if ctx.Err() == nil && !errors.Is(err, errOutdated) && unheard.Allow(time.Now()) {
			p.s.cfg.Logger.Warn("other processes are not heard; connecting anew", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// listenOn listens until the connection is over, or its server takes no writes and so carries no calls.
func (p *peers) listenOn(ctx context.Context, config *pgx.ConnConfig) error {
	bounded, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(bounded, p.s.sessionConfig(config, &p.s.writers))
	if err != nil {
		return err
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
		defer cancel()
		_ = conn.Close(bounded)
	}()
	if _, err := conn.Exec(bounded, "LISTEN "+channel); err != nil {
		return err
	}
	p.wake(callFold) // whatever was missed until now
	p.wake(callDelivery)
	for {
		if err := p.passOn(ctx, conn, p.s.cfg.DeadAfter); err != nil {
			return err
		}
		if err := p.check(ctx, conn.PgConn()); err != nil {
			return err
		}
	}
}

// passOn passes notifications on for a while.
func (p *peers) passOn(ctx context.Context, conn *pgx.Conn, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		call, err := conn.WaitForNotification(ctx) // keep-alive ends it when the server is gone
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && !conn.IsClosed() {
			return nil
		}
		if err != nil {
			return err
		}
		what, rest, _ := strings.Cut(call.Payload, " ")
		name, about, _ := strings.Cut(rest, " ")
		if name == p.name {
			continue
		}
		var names []string
		_ = json.Unmarshal([]byte(about), &names) // none are all
		p.wake(what, names...)
	}
}

// check says why a session that is in no pool is not to be used any longer.
func (p *peers) check(ctx context.Context, conn *pgconn.PgConn) error {
	ctx, cancel := p.s.d.bounded(ctx)
	defer cancel()
	if p.s.outdated(conn, &p.s.writers) {
		return errOutdated
	}
	if err := writable(ctx, conn); err != nil {
		return err
	}
	return stays(ctx, conn)
}

// wake passes on what others have notified.
func (p *peers) wake(what string, notifiers ...string) {
	switch what {
	case callFold:
		pulse(p.s.appended)
	case callHelp:
		p.owners.help(notifiers)
		fallthrough
	case callDelivery:
		p.s.agenda.changed(notifiers...)
		pulse(p.s.owed)
	}
}
