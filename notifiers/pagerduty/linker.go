package pagerduty

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

// LinkerStore knows what is to be looked up. Errors are faults of storage.
type LinkerStore interface {
	// Folds says whether of all processes on the store this is the one that folds: it alone looks things up as well.
	Folds() bool
	// Unlinked returns open pages that PagerDuty has accepted since a time and whose incidents have no name yet.
	Unlinked(ctx context.Context, kind router.Kind, since time.Time) ([]router.Place, error)
	// PlacesByKey returns the places that PagerDuty was told to find by one of the keys, the newest incident first.
	PlacesByKey(ctx context.Context, kind router.Kind, keys ...string) ([]router.Place, error)
	// Postponed returns the oldest thing that was said of each incident and waits, if it is due at now.
	Postponed(ctx context.Context, now time.Time, limit int) ([]router.Postponed, error)
	// PostponeMore makes it wait until a time, Settle forgets it.
	PostponeMore(ctx context.Context, id int64, until time.Time) error
	Settle(ctx context.Context, id int64) error
	// Append writes events to the journal, on disk before it returns; repeats of a digest are dropped.
	Append(ctx context.Context, events []router.Event) (stored int, err error)
}

// LinkerConfig is what a Linker may be told. A zero field takes its default.
type LinkerConfig struct {
	// Token of the REST API; one that may only read is enough. Required.
	Token router.Secret
	// TokenNow returns the one in force; it is asked for each round, since it may be replaced. Default: Token.
	TokenNow func() router.Secret
	// APIURL is where the REST API is. Accounts of the EU region have https://api.eu.pagerduty.com.
	// Default: https://api.pagerduty.com.
	APIURL string
	// After says when a page is asked for, since it was seen: PagerDuty makes incidents some time after it
	// accepted them. Default: after 2, 5, 15 and 60 s.
	After []time.Duration
	// Since is how old a page may be that is still asked for after a start. Default: 1 h.
	Since time.Duration
	// Timeout bounds one call. Default: 10 s.
	Timeout time.Duration
	// Pace is the least time between two calls. PagerDuty takes 960 a minute from all that an account runs; the default
	// leaves two thirds to the others. Source: "REST API rate limits". Default: 200 ms.
	Pace time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets what a person should look at. Default: none.
	Logger *slog.Logger
	// Registerer gets the metrics. Default: none are kept.
	Registerer prometheus.Registerer
}

// Linker learns from PagerDuty's REST API what it calls our incidents, and which of ours those are that its webhooks
// speak of. What it learns goes to the journal. It asks for one thing at a time and keeps to PagerDuty's limits.
type Linker struct {
	cfg   LinkerConfig
	store LinkerStore
	rest  rest

	asked   map[pageID]*asking
	recent  *recent   // what was made lately, as far as this round has looked
	until   time.Time // nothing is asked before
	denied  bool      // and that was said
	lookups *prometheus.CounterVec
}

// pageID is one incident of PagerDuty's, as we know it.
type pageID struct {
	incident      int64
	notifier, key string
}

// asking is how often a page was asked for.
type asking struct {
	seen  time.Time
	times int
	found bool
}

// recent is what PagerDuty made lately, with the keys of its alerts.
type recent struct {
	list []theirs
	keys map[string][]string // by the incident's id
}

const (
	// lookEvery is how often there is a look at what is to be done.
	lookEvery = time.Second
	// atOnce bounds how much is taken from the store for one round.
	atOnce = 20
	// mostAttempts bounds how often an incident is looked up that PagerDuty fails to tell of: two hours.
	mostAttempts = 18
	// searched bounds the incidents whose alerts are looked through for a page that has no key of its own.
	searched = 10
)

// NewLinker returns a Linker. Run starts it.
func NewLinker(cfg LinkerConfig, s LinkerStore) (*Linker, error) {
	if cfg.Token == "" {
		return nil, errors.New("pagerduty: no REST token: set PAGERDUTY_API_TOKEN")
	}
	address, err := base(cfg.APIURL, "https://api.pagerduty.com", "REST API")
	if err != nil {
		return nil, err
	}
	if len(cfg.After) == 0 {
		cfg.After = []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second, time.Minute}
	}
	cfg.Since = cmp.Or(cfg.Since, time.Hour)
	cfg.Timeout = cmp.Or(cfg.Timeout, 10*time.Second)
	cfg.Pace = cmp.Or(cfg.Pace, 200*time.Millisecond)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.TokenNow == nil {
		cfg.TokenNow = func() router.Secret { return cfg.Token }
	}
	l := &Linker{
		cfg: cfg, store: s, asked: map[pageID]*asking{},
		rest: rest{token: cfg.Token, url: address, timeout: cfg.Timeout, pace: cfg.Pace, now: cfg.Now, http: newClient()},
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "flowbridge_pagerduty_lookups_total", Help: "Incidents looked up in PagerDuty's REST API, by how that went."},
			[]string{"result"}),
	}
	for _, result := range []string{"found", "unknown", "failed"} {
		l.lookups.WithLabelValues(result)
	}
	if cfg.Registerer != nil {
		if err := cfg.Registerer.Register(l.lookups); err != nil {
			return nil, fmt.Errorf("pagerduty: %w", err)
		}
	}
	return l, nil
}

// Run looks things up until ctx ends. All that is to be done stands in the store: after a start
// it goes on where it was.
func (l *Linker) Run(ctx context.Context) {
	for wait := lookEvery; router.Sleep(ctx, wait); {
		more, err := l.round(ctx)
		wait = lookEvery
		switch {
		case err != nil && ctx.Err() == nil:
			wait = 5 * lookEvery
			l.cfg.Logger.Error("storage does not let me look up what PagerDuty calls an incident; trying again", "error", err)
		case more:
			wait = 0
		}
	}
}

// round does what is due. more says that it came to something, behind which more may wait: of what was said of an
// incident it takes the oldest. It returns faults of storage only.
func (l *Linker) round(ctx context.Context) (more bool, err error) {
	now := l.cfg.Now()
	l.takeToken()
	if !l.store.Folds() || now.Before(l.until) {
		return false, nil
	}
	l.recent = nil
	waiting, err := l.store.Postponed(ctx, now, atOnce)
	if err != nil {
		return false, err
	}
	for i := range waiting {
		if err := l.place(ctx, &waiting[i]); err != nil || l.paused(ctx) {
			return false, err
		}
	}
	pages, err := l.due(ctx, now)
	if err != nil {
		return false, err
	}
	for i := range pages {
		if err := l.link(ctx, &pages[i]); err != nil || l.paused(ctx) {
			return false, err
		}
	}
	return len(waiting) > 0, nil
}

// takeToken uses the token in force. What was waited for because of the old one need not wait any longer.
func (l *Linker) takeToken() {
	if token := l.cfg.TokenNow(); token != l.rest.token {
		l.rest.token = token
		if l.denied {
			l.until, l.denied = time.Time{}, false
		}
	}
}

func (l *Linker) paused(ctx context.Context) bool {
	return ctx.Err() != nil || l.cfg.Now().Before(l.until)
}

// due returns the pages to ask for now, and forgets those that need no asking any more.
func (l *Linker) due(ctx context.Context, now time.Time) (due []router.Place, err error) {
	pages, err := l.store.Unlinked(ctx, Kind, now.Add(-l.cfg.Since))
	if err != nil {
		return nil, err
	}
	still := map[pageID]*asking{}
	for _, p := range pages {
		id := pageID{p.Incident, p.Notifier, p.Key}
		a := cmp.Or(l.asked[id], &asking{seen: now})
		still[id] = a
		if !a.found && a.times < len(l.cfg.After) && !now.Before(a.seen.Add(l.cfg.After[a.times])) {
			due = append(due, p)
		}
	}
	l.asked = still
	return due, nil
}

// link asks what PagerDuty calls a page, and writes it to the journal.
func (l *Linker) link(ctx context.Context, p *router.Place) error {
	a := l.asked[pageID{p.Incident, p.Notifier, p.Key}]
	found, err := l.find(ctx, p, a.times > 0)
	if err != nil {
		var storage storageError
		if errors.As(err, &storage) {
			return storage.error
		}
		l.failed(err)
		if !l.paused(ctx) {
			a.times++
		}
		return nil
	}
	a.times++
	if found == nil {
		l.lookups.WithLabelValues("unknown").Inc()
		return nil
	}
	link := found.link
	link.Notifier, link.Key, link.Service = p.Notifier, p.Key, found.service
	now := l.cfg.Now().UTC()
	_, err = l.store.Append(ctx, []router.Event{{
		Digest: fmt.Sprintf("pagerduty/link/%d/%s/%s/%s/%d", p.Incident, p.Notifier, p.Key, link.ID, link.Number),
		Source: router.SourcePagerDuty, Name: router.LinkIncident, At: now, Received: now, WABA: p.WABA, Flow: p.Flow,
		Act: &router.Act{Incident: p.Incident, Notifier: p.Notifier, Key: p.Key, Owner: found.owner, Link: &link},
	}})
	if err == nil {
		a.found = true
		l.denied = false
		l.lookups.WithLabelValues("found").Inc()
	}
	return err
}

// storageError is a fault of ours among PagerDuty's.
type storageError struct{ error }

// find asks for a page by its key, and where that is not said, by the alerts of what was made lately. It returns nil if
// PagerDuty has none (yet).
func (l *Linker) find(ctx context.Context, p *router.Place, again bool) (*theirs, error) {
	list, err := l.rest.byKey(ctx, p.Key)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 && again {
		if list, err = l.search(ctx, p.Key); err != nil {
			return nil, err
		}
	}
	list = slices.DeleteFunc(list, func(t theirs) bool { // what it was called before the page opened anew
		return p.Link.ID != "" && t.link.ID != p.Link.ID && !newer(t.link, p.Link)
	})
	slices.SortFunc(list, func(a, b theirs) int { return cmp.Compare(b.link.Number, a.link.Number) })
	alone, err := l.alone(ctx, p)
	if err != nil {
		return nil, storageError{err}
	}
	for i := range list {
		if !alone {
			has, err := l.rest.hasKey(ctx, list[i].service, p.Credential)
			switch {
			case err != nil && !errors.Is(err, errGone):
				return nil, err
			case !has:
				continue
			}
		}
		return &list[i], nil
	}
	return nil, nil
}

// alone says whether one notifier only was told of the incident with this key: else each has an incident with it, and
// only their services tell them apart.
func (l *Linker) alone(ctx context.Context, p *router.Place) (bool, error) {
	places, err := l.store.PlacesByKey(ctx, Kind, p.Key)
	return !slices.ContainsFunc(places, func(q router.Place) bool { return q.Notifier != p.Notifier }), err
}

// search looks for a key among the alerts of what was made lately: incidents that were made from alerts have no key,
// and those that others were merged into have one of several.
func (l *Linker) search(ctx context.Context, key string) (list []theirs, err error) {
	if l.recent == nil {
		found, err := l.rest.recent(ctx, l.cfg.Now().Add(-l.cfg.Since))
		if err != nil {
			return nil, err
		}
		l.recent = &recent{list: found[:min(len(found), searched)], keys: map[string][]string{}}
	}
	for _, t := range l.recent.list {
		keys, known := l.recent.keys[t.link.ID]
		if !known {
			if keys, err = l.rest.alertKeys(ctx, t.link.ID); err != nil && !errors.Is(err, errGone) {
				return nil, err
			}
			l.recent.keys[t.link.ID] = keys
		}
		if slices.Contains(keys, key) {
			list = append(list, t)
		}
	}
	return list, nil
}

// place finds out where something belongs that was said, and writes it to the journal.
func (l *Linker) place(ctx context.Context, p *router.Postponed) error {
	s := said{id: strings.TrimPrefix(p.Digest, "pagerduty/"), received: p.Received, events: p.Events}
	if len(p.Events) > 0 {
		s.at = p.Events[0].At
	}
	keys, err := l.lookUp(ctx, p.About, &s)
	switch {
	case errors.Is(err, errGone):
		l.lookups.WithLabelValues("unknown").Inc()
		return l.store.Settle(ctx, p.ID)
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		l.failed(err)
		if p.Attempts+1 >= mostAttempts {
			l.cfg.Logger.Warn("a webhook of PagerDuty is let go: its incident could not be looked up", "incident", p.About,
				"error", err)
			return l.store.Settle(ctx, p.ID)
		}
		if l.paused(ctx) { // no fault of this one
			return nil
		}
		return l.store.PostponeMore(ctx, p.ID, l.cfg.Now().Add(min(time.Second<<p.Attempts, 15*time.Minute)))
	}
	var places []router.Place
	for _, key := range keys {
		keyed, err := l.store.PlacesByKey(ctx, Kind, key)
		if err != nil {
			return err
		}
		places = join(places, s.choose(keyed, nil))
	}
	if events := s.spread(places); len(events) > 0 {
		if _, err := l.store.Append(ctx, events); err != nil {
			return err
		}
		l.lookups.WithLabelValues("found").Inc()
	} else {
		l.lookups.WithLabelValues("unknown").Inc()
	}
	return l.store.Settle(ctx, p.ID)
}

// lookUp completes what was said with what PagerDuty calls the incident and who has it, and returns our keys among
// those of its alerts.
func (l *Linker) lookUp(ctx context.Context, id string, s *said) (keys []string, err error) {
	t, err := l.rest.incident(ctx, id)
	if err != nil {
		return nil, err
	}
	s.about, s.owner, s.made, s.service = t.link, t.owner, t.made, t.service
	if into := s.into(); into != nil {
		*into = t.link
	}
	all, err := l.rest.alertKeys(ctx, id)
	if err != nil {
		return nil, err
	}
	for _, key := range append(all, t.key) {
		if strings.HasPrefix(key, "flowbridge/") && !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	l.denied = false
	return keys, nil
}

// failed counts a call that failed, and says once that the token is not taken.
func (l *Linker) failed(err error) {
	l.lookups.WithLabelValues("failed").Inc()
	hold := new(held)
	if !errors.As(err, hold) {
		l.cfg.Logger.Debug("an incident could not be looked up in PagerDuty", "error", err)
		return
	}
	l.until = hold.until
	if hold.denied && !l.denied {
		l.denied = true
		l.cfg.Logger.Error("PagerDuty does not take PAGERDUTY_API_TOKEN: cards show no numbers of its incidents (give a "+
			"read-only REST API key)", "error", err)
	}
}
