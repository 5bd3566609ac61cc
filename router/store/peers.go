package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"flowbridge/router"
)

// peers is how this process gets on with others on the same PostgreSQL database: one of them folds at a time, and
// each wakes the others. On SQLite there are none, and a nil peers says so.
//
// Who folds holds an advisory lock of its session, and folds and commits on that very session. So whoever has lost
// the session can commit no more, and no clock is compared. The server ends the session of a process that says
// nothing for a while (Config.DeadAfter): the router asks for what waits more often than that.
type peers struct {
	s    *Store
	name string // of this process, to know its own calls

	mu   sync.Mutex
	conn *sql.Conn // the session that holds the lock; nil while another process folds
	lost bool      // the session under which the batch at hand was begun is over

	folding atomic.Bool // conn is not nil: this process needs no call from others to fold

	fold, deliver chan struct{} // pulsed when the others are to be called
	stop          context.CancelFunc
	work          sync.WaitGroup
}

const (
	// channel is what processes call each other on; a call says what there is to do, and who calls.
	channel      = "flowbridge"
	callFold     = "fold"
	callDelivery = "deliver"
	// callPause bounds how often a process calls: a call is a transaction.
	callPause = 10 * time.Millisecond
	// A lock is named by a class and the schema, so that two bridges can share a database.
	foldLock  = 0x666c6f77
	sweepLock = foldLock + 1
)

func newPeers(s *Store, config *pgx.ConnConfig) *peers {
	p := &peers{s: s, name: rand.Text(), fold: make(chan struct{}, 1), deliver: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.work.Go(func() { p.listen(ctx, config) })
	p.work.Go(func() { p.speak(ctx) })
	return p
}

// StopFolding gives up the right to fold, so that another process takes over at once: for one that still has work of
// other kinds to end. Whoever folds afterwards asks for it anew.
func (s *Store) StopFolding() {
	if s.peers != nil {
		s.peers.leave()
	}
}

// Folds says whether this process has the right to fold: of several on one database one has it, or none for a moment.
func (s *Store) Folds() bool { return s.peers == nil || s.peers.folding.Load() }

// Close gives up the right to fold, and tells the others, also of what was handed back last.
func (p *peers) Close() error {
	p.stop()
	p.work.Wait()
	p.leave()
	return nil
}

func (p *peers) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	select {
	case <-p.deliver:
		p.call(ctx, callDelivery)
	default:
	}
	if p.conn == nil {
		return
	}
	_, _ = p.conn.ExecContext(ctx, `SELECT pg_advisory_unlock_all()`) // before the call; the end of the session may come after it
	p.drop()
	p.call(ctx, callFold)
}

// begin returns the session to read a batch with, or nil if another process folds.
func (p *peers) begin(ctx context.Context) (*sql.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = false
	return p.hold(ctx)
}

// commit returns the session to commit a batch with, which is the one that it was begun with. It wraps
// router.ErrConflict if there is none: another process may have folded the same events.
func (p *peers) commit(ctx context.Context) (*sql.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost {
		return nil, fmt.Errorf("%w: the session that this was read with has ended, another process may fold by now", router.ErrConflict)
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
		p.lost = true
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
		if _, err = conn.ExecContext(ctx, fmt.Sprintf(`SET idle_session_timeout = %d`, p.s.cfg.DeadAfter.Milliseconds())); err == nil {
			p.conn = conn
			p.folding.Store(true)
			return conn, nil
		}
	}
	if err != nil {
		discard(conn) // with the lock, if it was taken
		return nil, err
	}
	return nil, conn.Close()
}

func tryLock(ctx context.Context, conn *sql.Conn, class int) (mine bool, err error) {
	err = conn.QueryRowContext(ctx, `SELECT pg_try_advisory_lock($1, hashtext(current_schema()))`, class).Scan(&mine)
	return mine, err
}

// alone returns what ends a time in which no other process sweeps, or nil while another one does.
func (p *peers) alone(ctx context.Context) (done func(), err error) {
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
		_, _ = conn.ExecContext(ctx, `SELECT pg_advisory_unlock_all()`) // the end of the session, which gives it up in any case, may come later
		discard(conn)
	}, nil
}

// drop ends the session, and with it the lock. p.mu is held.
func (p *peers) drop() {
	discard(p.conn)
	p.conn = nil
	p.folding.Store(false)
}

// discard closes a session instead of handing it back.
func discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // its way of saying so
	_ = conn.Close()
}

// speak calls the other processes, soon after somebody wanted it.
func (p *peers) speak(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.fold:
			if !p.folding.Load() {
				p.call(ctx, callFold)
			}
		case <-p.deliver:
			p.call(ctx, callDelivery)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(callPause):
		}
	}
}

// call is not worth waiting for the disk, nor a fault: whoever misses it looks by himself soon.
// A stop does not cut it short: it may be about what the stop handed back.
func (p *peers) call(ctx context.Context, what string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), connectTimeout)
	defer cancel()
	_, _ = p.s.write.DB.ExecContext(ctx, fmt.Sprintf(`SET LOCAL synchronous_commit = off; NOTIFY %s, '%s %s'`, channel, what, p.name))
}

// listen hears the calls of the others, on a connection of its own.
func (p *peers) listen(ctx context.Context, config *pgx.ConnConfig) {
	for ctx.Err() == nil {
		err := p.hear(ctx, config)
		p.wake(callFold) // whatever was missed meanwhile
		p.wake(callDelivery)
		if ctx.Err() == nil {
			p.s.cfg.Logger.Warn("other processes are not heard; connecting anew", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (p *peers) hear(ctx context.Context, config *pgx.ConnConfig) error {
	bounded, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(bounded, config)
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
	for {
		call, err := conn.WaitForNotification(ctx) // keep-alive ends it when the server is gone
		if err != nil {
			return err
		}
		if what, name, ok := strings.Cut(call.Payload, " "); ok && name != p.name {
			p.wake(what)
		}
	}
}

func (p *peers) wake(what string) {
	switch what {
	case callFold:
		pulse(p.s.appended)
	case callDelivery:
		pulse(p.s.owed)
	}
}
