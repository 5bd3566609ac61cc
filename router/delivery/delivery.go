// Package delivery brings every notifier to the state it is owed: it claims what is due, calls the
// notifier, and writes down how that ended. What is owed to whom is left to the router, keeping it and handing
// it out in order of importance to the store, and talking to a service to the notifiers.
//
// Any number of processes may deliver from one queue: what they must agree on (claims, budgets, how it stands
// with a notifier) is in the queue, not here.
package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

// Notifier tells one kind of service. Sync may be called from several goroutines, though never twice at a
// time for one delivery.
type Notifier interface {
	// Sync brings the service to the state in n, whatever it was told before. It may be called again with
	// the same state, or with a newer one after states that it never saw.
	//
	// The Receipt is not zero exactly if something was made at the service, or may have been, now or by
	// an earlier attempt (n.Receipt, n.MayExist); that holds beside an error too. It comes back as
	// n.Receipt with the next call. A zero Receipt without an error means that there was nothing to tell.
	//
	// An error means "try again, with back-off", unless something in its chain says more:
	//   - Permanent() bool, true: the service said no; the delivery is parked until a person acts, and only probed;
	//   - NotBefore() time.Time: try again then, which is no failure and does not lengthen the back-off.
	// Its text is shown to people and must hold no secret.
	//
	// Sync returns soon after ctx ends, and then with an error unless the service has the state.
	Sync(ctx context.Context, n router.Notification) (router.Receipt, error)
}

// Charger is a Notifier whose service counts calls.
type Charger interface {
	// Charges says what a Sync with n will take from the budgets that its service gives us; nil for nothing. It is asked
	// before each attempt, inside the claim: it is pure and quick, calls nobody, and guesses where it cannot know. It is
	// asked before the incident was read, too (Incident, Alerts, Timeline and Digest are nil): what will it take at least?
	Charges(n *router.Notification) []router.Charge
}

// Queue is what is owed. Its errors are faults of storage, which are waited out; ErrNotFound, ErrConflict
// and ErrClosed of package router mean that repeating the call is useless.
type Queue interface {
	// Due names the notifiers that have something due at now, and the next time after now at which
	// something will be; zero if nothing waits. What is parked is due at the time that its Result named, after all else.
	// It leaves out those that we are at.
	Due(ctx context.Context, now time.Time, but ...string) (notifiers []string, next time.Time, err error)
	// Claim hands out the most important delivery that is due to a notifier and that the budgets have room for,
	// nil when there is none; short says how many classes of deliveries found no room. Before it returns the
	// attempt is on disk. Nobody else gets the delivery until Finish, or until the lease is over: it is then
	// handed out again, with MayExist and another claim.
	Claim(ctx context.Context, ask router.Ask) (n *router.Notification, short int, err error)
	// Extend makes a claim hold until a time. ErrConflict says that it is ours no more.
	Extend(ctx context.Context, delivery int64, claim string, until time.Time) error
	// Finish writes how an attempt ended and gives up the claim. It may be repeated with the same Result.
	// ErrConflict says that the claim is ours no more, and that nothing was written.
	Finish(ctx context.Context, r router.Result) error
	// FinishAndClaim is Finish, and where that leaves more due to the same notifier Claim: one write to the disk is for
	// both. An error is about both. n is nil where nothing is due, and may be where something is.
	FinishAndClaim(ctx context.Context, r router.Result, ask router.Ask) (n *router.Notification, short int, err error)
	// Retarget pins another target to a claimed delivery that made nothing yet, or whose target is gone: it has no
	// receipt then. ErrConflict says that the claim is ours no more.
	Retarget(ctx context.Context, delivery int64, claim string, t router.Target) error
	// Owed is pulsed when something became due. A pulse may be missed: there is a slow poll as well.
	Owed() <-chan struct{}
	// Backlog and Lanes say what is owed, and which notifiers keep failing or are to wait for long, for metrics.
	Backlog(ctx context.Context) ([]router.Backlog, error)
	Lanes(ctx context.Context) ([]router.Lane, error)
}

// Config is what a Deliverer may be told. A zero field takes its default.
type Config struct {
	// Notifiers by the service they speak to. Deliveries to any other service are parked.
	Notifiers map[router.Kind]Notifier
	// Without says what to do about a kind that is not among Notifiers: "set SLACK_BOT_TOKEN". Default: nothing is said.
	Without map[router.Kind]string
	// Target returns what the rules file says now of a notifier; ok is false if it names no such one. It
	// lets a corrected key or channel reach deliveries that made nothing yet. Default: only what is pinned counts.
	Target func(notifier string) (t router.Target, ok bool)
	// Link returns the URL of an incident's page for people, "" for none. Default: no links.
	Link func(*router.Incident) string
	// Console is the URL of where people find every incident, "" for none.
	Console string
	// Unbudgeted says that deliveries take nothing from the budgets now: for services that have no limits. Default: they
	// take what their Notifier says, where that is a Charger.
	Unbudgeted func() bool
	// KeepsAttempts says that what is sent and answered goes into the Result of each attempt. Default: it does not.
	KeepsAttempts bool
	// Timeout bounds one Sync. Default: 30 s.
	Timeout time.Duration
	// Lease is how long a claim holds if this process dies or is cut off from the queue. While a Sync runs its
	// claim is extended three times in a lease; where that does not work the Sync is cancelled before another
	// process may begin one. Default: 15 s.
	Lease time.Duration
	// Grace is how long a Sync in flight may go on once Run is asked to end. Default: 5 s.
	Grace time.Duration
	// MinBackoff is about how long the first retry waits; each further one waits twice as long. Default: 1 s.
	MinBackoff time.Duration
	// MaxBackoff is the longest that a retry waits, unless the service asks for more, and the longest between two
	// probes of a service that is down. Default: 1 min: a call a minute troubles no service, and a page is at
	// most a minute late once it is back.
	MaxBackoff time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Rand spreads retries; it returns numbers in [0, 1) and is called from several goroutines.
	// Default: math/rand.
	Rand func() float64
	// Logger gets a line for each attempt: parked is an error, a retry and a probe in vain are warnings, the rest is info.
	// Default: none.
	Logger *slog.Logger
	// Registerer gets the metrics. Default: none are kept.
	Registerer prometheus.Registerer
}

// Deliverer runs one lane for each notifier that has something due, so that a slow one delays no other.
type Deliverer struct {
	cfg     Config
	queue   Queue
	metrics metrics

	looking, claiming, extending, finishing health
}

const (
	// poll is how often the queue is looked at without a reason: a pulse can be missed, that of another process above all.
	poll = 15 * time.Second
	// shortest keeps a queue whose next time has passed already from being asked without a pause.
	shortest = 50 * time.Millisecond
	// storageTimeout bounds one call to the queue.
	storageTimeout = 5 * time.Second
)

// Why a Sync in flight is cancelled.
var (
	errStopping = errors.New("flowbridge is stopping")                  // and the grace is over
	errLost     = errors.New("the claim is lost: another may be at it") // or soon will
)

// New returns a Deliverer over a queue. Run starts it.
func New(cfg Config, q Queue) (*Deliverer, error) {
	if q == nil {
		return nil, errors.New("delivery: no queue")
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, 30*time.Second)
	cfg.Lease = cmp.Or(cfg.Lease, 15*time.Second)
	cfg.Grace = cmp.Or(cfg.Grace, 5*time.Second)
	cfg.MinBackoff = cmp.Or(cfg.MinBackoff, time.Second)
	cfg.MaxBackoff = cmp.Or(cfg.MaxBackoff, time.Minute)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Target == nil {
		cfg.Target = func(string) (router.Target, bool) { return router.Target{}, false }
	}
	if cfg.Link == nil {
		cfg.Link = func(*router.Incident) string { return "" }
	}
	if cfg.Unbudgeted == nil {
		cfg.Unbudgeted = func() bool { return false }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Float64
	}
	d := &Deliverer{
		cfg: cfg, queue: q, metrics: newMetrics(cfg, q),
		looking:   health{logger: cfg.Logger, doing: "look for due deliveries"},
		claiming:  health{logger: cfg.Logger, doing: "claim a delivery"},
		extending: health{logger: cfg.Logger, doing: "keep a claim"},
		finishing: health{logger: cfg.Logger, doing: "write how a delivery ended"},
	}
	if err := d.metrics.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("delivery: %w", err)
	}
	return d, nil
}

// Run delivers until ctx ends, and returns nil once every lane has stopped. What is in flight by then may
// go on for the grace; what that cuts short is handed back at once, to another process or the next start.
func (d *Deliverer) Run(ctx context.Context) error {
	work, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(nil)
	l := lanes{running: map[string]bool{}, ended: make(chan laneEnd)}
	for faults := 0; ctx.Err() == nil; {
		names, wait, err := d.look(ctx, l.names())
		owed := d.queue.Owed()
		if err != nil {
			faults++
			wait, owed = storageBackoff(faults), nil // no pulse makes storage whole
		} else {
			faults = 0
		}
		for _, name := range names {
			if _, ok := l.running[name]; ok {
				l.running[name] = true
				continue
			}
			l.running[name] = false
			go func() { l.ended <- laneEnd{name, d.lane(ctx, work, name)} }()
		}
		l.wait(ctx, owed, wait)
	}
	grace := time.AfterFunc(d.cfg.Grace, func() { cut(errStopping) })
	defer grace.Stop()
	l.drain()
	return nil
}

// look asks who has something due, and how long to wait until asking again.
func (d *Deliverer) look(ctx context.Context, but []string) (names []string, wait time.Duration, err error) {
	bounded, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	now := d.cfg.Now()
	names, next, err := d.queue.Due(bounded, now, but...)
	if ctx.Err() != nil {
		return nil, 0, nil
	}
	d.looking.note(err)
	wait = poll
	switch until := next.Sub(now); {
	case next.IsZero():
	case until <= 0:
		wait = shortest
	default: // it may be what was owed while we looked
		wait = min(max(until, time.Millisecond), poll)
	}
	return names, wait, err
}

// lanes are the goroutines that deliver, one for each notifier. Only Run touches running.
type lanes struct {
	running map[string]bool // by notifier; true if there was a pulse while its lane was running
	ended   chan laneEnd
	idle    bool // the queue was looked at once more after a lane had found nothing, and nothing happened since
}

type laneEnd struct {
	name   string
	worked bool // it delivered something
}

// wait returns when there is a reason to look at the queue. A lane that ended is one, if it left retries
// behind or may have missed what became due while it was ending. A lane that found nothing is one, after
// a pause, but not twice in a row: otherwise a queue that says due and hands out nothing would be asked all the time.
func (l *lanes) wait(ctx context.Context, owed <-chan struct{}, atMost time.Duration) {
	timer, deadline := time.NewTimer(atMost), time.Now().Add(atMost)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-owed:
			l.idle = false
			for name := range l.running { // it may be about one of them that is ending
				l.running[name] = true
			}
			return
		case end := <-l.ended:
			if l.over(end) {
				l.idle = false
				return
			}
			if !l.idle { // it may have found out when something will be
				l.idle = true
				timer.Reset(min(time.Until(deadline), shortest))
			}
		}
	}
}

// over takes up that a lane has ended, and all others that have by now: one look is for all of them. It says whether
// one of them is a reason to look at once.
func (l *lanes) over(end laneEnd) (look bool) {
	for {
		look = look || l.running[end.name] || end.worked
		delete(l.running, end.name)
		select {
		case end = <-l.ended:
		default:
			return look
		}
	}
}

// names are the notifiers that are delivered to.
func (l *lanes) names() []string { return slices.Collect(maps.Keys(l.running)) }

// drain waits until every lane has ended.
func (l *lanes) drain() {
	for len(l.running) > 0 {
		end := <-l.ended
		delete(l.running, end.name)
	}
}
