package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/store"
	databases "flowbridge/router/store/storetest"
)

// crash is what a call to the storage panics with when the process dies there.
type crash struct{}

// survive does something, and starts the bridge anew if it dies over it.
func (w *world) survive(do func()) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case crash:
			w.Crashes++
			w.say("-- killed; started again")
			w.must(w.store.Store.Close())
			w.start()
		default:
			panic(p)
		}
	}()
	do()
}

// wipe puts an empty database in the place of the one there is.
func (w *world) wipe() {
	w.db, w.memory = w.empty(), newMemory()
}

// emptyFile returns what empties a SQLite database, and names it.
func emptyFile(t *testing.T) func() string {
	path := filepath.Join(databases.TempDir(t), "bridge.db")
	inbox := store.InboxPath(path)
	return func() string {
		for _, old := range []string{path, path + "-wal", path + "-shm", inbox, inbox + "-wal", inbox + "-shm"} {
			if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
		return path
	}
}

// emptyOnServer returns what names one empty PostgreSQL database after the other.
func emptyOnServer(t *testing.T) func() string {
	server := databases.Shared(t)
	return func() string {
		return server.Copy(t, "simulation", func(dsn string) error {
			s, err := store.Open(t.Context(), store.Config{DSN: dsn, StartWait: databases.Patience})
			if err != nil {
				return err
			}
			return s.Close()
		})
	}
}

// lose loses the database, at a moment at which everybody has been told of everything that is in it: what nobody heard
// of, nobody will hear of any more.
func (w *world) lose() {
	if w.Lost > 0 || w.stormy {
		return
	}
	w.say("-- quiet for a while")
	w.endTrouble()
	for range 1000 {
		if w.fold() == 0 && !w.deliver() && !w.skip(time.Time{}) {
			break
		}
	}
	if w.nothingWaits() != nil {
		return
	}
	rises, err := w.repaged() // what was done in the life before is not forgotten
	w.must(err)
	for key, n := range rises {
		w.outside[key] += n
	}
	w.Lost++
	w.earlier = int64(len(w.pager.Incidents()))
	w.say("-- the database is lost")
	w.must(w.store.Store.Close())
	w.wipe()
	for _, m := range w.slack.Messages("#ops") {
		w.before[m.TS] = true
	}
	w.start()
}

// memory is what the test knows of what the bridge has stored, and of what it made of that. It goes with the database.
type memory struct {
	journal []router.Event // of Meta's, as stored
	known   map[string]bool
	seqs    map[int64]router.Event // those that were folded
	heardOf map[string]personAct   // what an event that came by a webhook is about
	newest  map[string]time.Time   // of the acts of a kind that were folded, by incident and kind
	acts    []personAct
	owners  map[int64][]int64 // which incidents of ours triggered one of PagerDuty's
	life    map[int64]*life
	pages   map[[2]int64]map[string]string // keys of open pages, by incident and rise, by notifier
	failing map[int64]time.Time            // since when a delivery fails
	cut     map[int64]bool                 // deliveries that are being opened: see noteStale
	awaited map[string]bool                // silences until recovered that covered something when they began
	digests map[string]bool                // by Slack's names: those that the store knows were told
}

func newMemory() memory {
	return memory{
		known: map[string]bool{}, seqs: map[int64]router.Event{}, heardOf: map[string]personAct{},
		newest: map[string]time.Time{},
		owners: map[int64][]int64{}, life: map[int64]*life{}, pages: map[[2]int64]map[string]string{},
		failing: map[int64]time.Time{}, cut: map[int64]bool{},
		awaited: map[string]bool{}, digests: map[string]bool{},
	}
}

// fragile is the storage of a process that can die, and a storage that can fail: before a call reaches the disk, or
// after.
type fragile struct {
	*store.Store
	w    *world
	left int  // calls until the process dies; below 0 it lives
	sick int  // calls that fail
	deaf bool // they do what was asked, and the answer is lost
}

// errSick is what a sick storage says. Whoever holds a result gives it up, rather than to wait by a clock that is not
// ours.
var (
	errSick     = fmt.Errorf("the storage is sick: %w", router.ErrClosed)
	errReadOnly = fmt.Errorf("cannot write in a read-only transaction: %w", errSick)
)

// call makes a call, unless the process dies before it or the storage fails.
func (f *fragile) call(do func() error) error {
	f.dies()
	defer f.dies()
	if f.w.now.Before(f.w.readOnlyUntil) {
		f.w.Sick++
		return errReadOnly
	}
	if f.sick == 0 {
		return do()
	}
	f.sick--
	if f.deaf {
		f.w.must(do())
	}
	return errSick
}

// dies counts a call.
func (f *fragile) dies() {
	if f.left == 0 {
		panic(crash{})
	}
	if f.left > 0 {
		f.left--
	}
}

func (f *fragile) Append(ctx context.Context, events []router.Event) (stored int, err error) {
	err = f.call(func() (err error) {
		stored, err = f.Store.Append(ctx, events)
		if err == nil {
			f.w.noteAppended(events)
		}
		return err
	})
	return stored, err
}

func (f *fragile) Waiting(ctx context.Context, limit int) ([]router.Event, error) {
	events, err := f.Store.Waiting(ctx, limit)
	for _, e := range events {
		f.w.seqs[e.Seq] = e
	}
	return events, err
}

// SetFoldMark needs a database that can be written, like all else: a process that dies meanwhile has left no mark.
func (f *fragile) SetFoldMark(ctx context.Context, m *router.Mark) error {
	if f.w.now.Before(f.w.readOnlyUntil) {
		return errReadOnly
	}
	return f.Store.SetFoldMark(ctx, m)
}

func (f *fragile) Commit(ctx context.Context, b router.Batch) error {
	return f.call(func() error {
		err := f.Store.Commit(ctx, b)
		if err == nil {
			f.w.noteCommit(&b)
		}
		return err
	})
}

func (f *fragile) Claim(ctx context.Context, ask router.Ask) (n *router.Notification, short int, err error) {
	f.w.claimed = nil
	err = f.call(func() (err error) {
		n, short, err = f.Store.Claim(ctx, ask)
		f.w.claimed = n
		f.w.noteStale(n)
		return err
	})
	return n, short, err
}

func (f *fragile) Finish(ctx context.Context, r router.Result) error {
	f.w.judge(&r)
	return f.call(func() error {
		err := f.Store.Finish(ctx, r)
		if err == nil {
			f.w.noteFinished(&r)
		}
		return err
	})
}

func (f *fragile) FinishAndClaim(ctx context.Context, r router.Result, ask router.Ask) (n *router.Notification,
	short int, err error) {
	f.w.judge(&r)
	f.w.seePager()
	f.w.claimed = nil
	err = f.call(func() (err error) {
		n, short, err = f.Store.FinishAndClaim(ctx, r, ask)
		if err == nil {
			f.w.noteFinished(&r)
		}
		f.w.claimed = n
		f.w.noteStale(n)
		return err
	})
	return n, short, err
}

// noteFinished remembers how an attempt ended.
func (w *world) noteFinished(r *router.Result) {
	delete(w.cut, r.Delivery)
	if r.Digest != nil && r.State == router.DeliveryDelivered {
		w.digests[r.Receipt.Digest] = true
	}
}

func (f *fragile) Retarget(ctx context.Context, delivery int64, claim string, t router.Target) error {
	return f.call(func() error { return f.Store.Retarget(ctx, delivery, claim, t) })
}

// noteAppended remembers what the journal holds by now.
func (w *world) noteAppended(events []router.Event) {
	for _, e := range events {
		if w.known[e.Digest] {
			continue
		}
		w.known[e.Digest] = true
		switch {
		case e.Source == router.SourceMeta:
			w.journal = append(w.journal, e)
			w.accepted[e.Digest] = true
		case e.Act == nil:
		case w.hearing != nil:
			w.heardOf[e.Digest] = *w.hearing
		case e.Source == router.SourceConsole:
			w.acts = append(w.acts, personAct{name: e.Name, at: e.At, incident: e.Act.Incident, person: true})
		}
	}
}

// noteStale remembers an attempt to open a page. Where what came of it is lost, nobody knows that the page was opened
// anew already: one that ends an older opening first does so once more.
func (w *world) noteStale(n *router.Notification) {
	if n == nil || !n.Open {
		return
	}
	if w.cut[n.Delivery] && n.Stale() {
		w.outside[n.Key]++
	}
	w.cut[n.Delivery] = true
}

// believed is how long an answer may make us wait.
const believed = 15 * time.Minute

// judge looks at how an attempt ended. No service of this world refuses for good in its own words.
func (w *world) judge(r *router.Result) {
	if wait := r.NextAt.Sub(w.now); r.State == router.DeliveryWaiting && wait > believed {
		w.breaks(noLongWait, "delivery %d is not tried for %s: %s", r.Delivery, wait, r.Error)
	}
	switch since, failed := w.failing[r.Delivery]; {
	case r.State == router.DeliveryParked && (!failed || w.now.Sub(since) < time.Hour):
		w.breaks(noPark, "delivery %d is parked: %s", r.Delivery, r.Error)
	case r.State != router.DeliveryWaiting:
		delete(w.failing, r.Delivery)
	case !failed:
		w.failing[r.Delivery] = w.now
	}
}

// noteCommit remembers what a batch came to.
func (w *world) noteCommit(b *router.Batch) {
	for _, o := range b.Outcomes {
		e := w.seqs[o.Seq]
		for i := range b.Entries {
			if b.Entries[i].Event == o.Seq {
				w.noteEffect(&e, &b.Entries[i])
			}
		}
		if kind := kindOfAct(e.Name); kind != "" && countsAsAct(&e) {
			id := fmt.Sprintf("%d/%s", e.Act.Incident, kind)
			w.newest[id] = later(w.newest[id], e.At)
		}
	}
	for _, e := range b.Entries {
		if e.Kind == router.EntryEscalated {
			l, worse := w.lifeOf(e.Incident), router.Error
			if strings.HasSuffix(e.Text, "to critical") {
				worse = router.Critical
			}
			l.rises = append(l.rises, need{at: e.At, why: "it got worse", severity: worse})
		}
	}
	w.noteOpenings(b)
	w.notePageNow(b)
	w.noteSilences(b)
	w.noteReminders(b)
}

// countsAsAct says whether an event is an act that an older one must not undo. What PagerDuty resolves or acknowledges
// by itself is none: nobody has decided anything.
func countsAsAct(e *router.Event) bool {
	return e.Act != nil && !(e.Act.Itself && (e.Name == router.Resolve || e.Name == router.Acknowledge))
}

// kindOfAct says which acts undo each other.
func kindOfAct(act string) string {
	switch act {
	case router.Acknowledge, router.Unacknowledge:
		return "acknowledgement"
	case router.Resolve, router.Reopen:
		return "resolution"
	}
	return ""
}

// noteOpenings counts how often a page of PagerDuty's was owed the opening of an incident, under whatever name. One
// that a person ended there, or opened, is owed neither.
func (w *world) noteOpenings(b *router.Batch) {
	defer func() {
		for _, o := range b.AlreadyThere {
			id := [2]int64{o.Incident, o.PagedAt}
			switch {
			case !o.Open:
				delete(w.pages[id], o.Target.Notifier)
			case w.pages[id] != nil:
				w.pages[id][o.Target.Notifier] = o.Key
			}
		}
	}()
	for _, o := range b.Owed {
		if !isPager(o.Target.Notifier) || o.Incident == 0 {
			continue
		}
		id := [2]int64{o.Incident, o.PagedAt}
		if w.pages[id] == nil {
			w.pages[id] = map[string]string{}
		}
		if !o.Open {
			delete(w.pages[id], o.Target.Notifier)
			continue
		}
		again := w.has(withReminders) && remindedIn(b, &o)
		if len(w.pages[id]) == 0 || again || reopenedIn(b, o.Incident) ||
			o.PagedAt == 0 && w.closedBetween(b, o.Incident) {
			w.openings[o.Key]++
			w.mustPage(o.Incident, need{at: w.raisedIn(b, o.Incident), why: "it opened for " + o.Target.Notifier,
				page: o.PagedAt})
		}
		w.pages[id][o.Target.Notifier] = o.Key
	}
}

// remindedIn says whether a batch tells a page again of an incident that nobody has, or has any more: another target
// may be reminded at another time.
func remindedIn(b *router.Batch, o *router.Owed) bool {
	return slices.ContainsFunc(b.Entries, func(e router.Entry) bool {
		return e.Incident == o.Incident && reminds(&e) && (e.Kind != router.EntryReminded || watchReminded(b, o, e.At))
	})
}

// watchReminded says whether what tells a page was reminded at a time.
func watchReminded(b *router.Batch, o *router.Owed, at time.Time) bool {
	return slices.ContainsFunc(b.Incidents, func(inc router.Incident) bool {
		return inc.Number == o.Incident && slices.ContainsFunc(inc.Watch, func(v router.Watch) bool {
			return v.Notifier == o.Target.Notifier && v.PagedAt == o.PagedAt && !v.Reminded.Before(at)
		})
	})
}

func reminds(e *router.Entry) bool {
	return e.Kind == router.EntryReminded || e.Event == 0 &&
		(e.Kind == router.EntryPaged || e.Kind == router.EntryUnacknowledged)
}

// reopenedIn says whether one batch ended an incident and opened it again.
func reopenedIn(b *router.Batch, incident int64) bool {
	kinds := map[router.EntryKind]bool{}
	for _, e := range b.Entries {
		if e.Incident == incident {
			kinds[e.Kind] = true
		}
	}
	return kinds[router.EntryResolved] && kinds[router.EntryReopened]
}

// closedBetween says whether the page of an incident closed and opened again within one batch, while the incident went
// on below what pages. Rules that wait page whatever the level.
func (w *world) closedBetween(b *router.Batch, incident int64) bool {
	eased := false
	for _, e := range b.Entries {
		switch {
		case e.Incident != incident:
		case e.Kind == router.EntryEased:
			eased = true
		case e.Kind == router.EntryEscalated && eased && strings.Contains(e.Text, "rises from "+router.Warning.String()):
			return !w.has(withTimed)
		}
	}
	return false
}

// raisedIn is when something about an incident got worse in a batch: the first time, where there are several; zero
// where it is only told now, after a wait or a silence.
func (w *world) raisedIn(b *router.Batch, incident int64) (at time.Time) {
	for _, e := range b.Entries {
		worse := slices.Contains([]router.EntryKind{router.EntryOpened, router.EntryEscalated, router.EntryActivated,
			router.EntryReopened, router.EntryPaged}, e.Kind)
		if e.Incident == incident && (worse || reminds(&e)) && (at.IsZero() || e.At.Before(at)) {
			at = e.At
		}
	}
	return at
}
