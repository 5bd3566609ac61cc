// Package console is the admin side for people and probes: pages and a JSON API over incidents, the journal and
// deliveries, and metrics and health. It changes nothing by itself: what a person does goes to the journal
// as an event, and is left to the router like everything else.
package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

// Store is what the console reads, and the little that it writes. Errors are faults of storage, except
// where a method says otherwise.
type Store interface {
	Kept
	Glance

	// Incidents returns those that pass the filter, in its order.
	Incidents(ctx context.Context, f router.IncidentFilter) ([]router.IncidentDetail, error)
	// IncidentRows is Incidents without timelines and receipts. Both return ErrNotFound where the order is by what is
	// worst, and the incident is gone from which a page is to go on.
	IncidentRows(ctx context.Context, f router.IncidentFilter) ([]router.IncidentRow, error)
	// SearchIncidents is IncidentRows for a page, the worst first: it looks through so many at a time, and says what it
	// has not looked through. A page may be short, or empty, and not the last.
	SearchIncidents(ctx context.Context, f router.IncidentFilter) ([]router.IncidentRow, router.SearchRest, error)
	// Counts returns the numbers at the head of a list of incidents.
	Counts(ctx context.Context, f router.IncidentFilter) (router.Counts, error)
	// FlowSummary tells of a flow, or of an account where the flow is "", with its periods between two times.
	FlowSummary(ctx context.Context, flow router.FlowID, from, to time.Time) (router.FlowSummary, error)
	// ReportData returns what a report is made of.
	ReportData(ctx context.Context, f router.ReportFilter) (router.ReportData, error)
	// ReadingsBetween returns what Meta measured of a flow's signal, oldest first; the newest 10,000.
	ReadingsBetween(ctx context.Context, flow router.FlowID, event string, from, to time.Time) ([]router.AlertReading,
		error)
	// Incident returns one by number; ErrNotFound if there is none.
	Incident(ctx context.Context, number int64) (router.IncidentDetail, error)
	// Events returns at most limit events of the journal, newest first; an empty state means all.
	Events(ctx context.Context, state router.EventState, limit int) ([]router.JournalEvent, error)
	// FindEvents returns those that pass the filter, newest first, and where the next page begins, 0 for nowhere: a page
	// may be short, or empty, and not the last.
	FindEvents(ctx context.Context, f router.EventFilter) ([]router.JournalEvent, int64, error)
	// Event returns one event; ErrNotFound if there is none.
	Event(ctx context.Context, seq int64) (router.JournalEvent, error)
	// Pairs returns, for journal positions from first to last, those of the other half of an alert.
	Pairs(ctx context.Context, first, last int64) (map[int64][]int64, error)
	// Silences returns those that hold, AllSilences at most limit of all, newest first.
	Silences(ctx context.Context) ([]router.Silence, error)
	AllSilences(ctx context.Context, limit int) ([]router.Silence, error)
	// SilencesBefore goes on with those after one in the order of AllSilences, by its id.
	SilencesBefore(ctx context.Context, id string, limit int) ([]router.Silence, error)
	// FindDeliveries returns those that pass the filter, newest first.
	FindDeliveries(ctx context.Context, f router.DeliveryFilter) ([]router.Delivery, error)
	// About says what deliveries are about, by their ids; those are left out of which it is not known any more.
	About(ctx context.Context, list []router.Delivery) (map[int64]router.About, error)
	// RetryDelivery makes a delivery due now, and keeps who asked for it; ErrNotFound if there is none, ErrConflict,
	// wrapped with the reason, if it is not one to retry.
	RetryDelivery(ctx context.Context, id int64, audit ...router.AuditEntry) error
	// RetryDeliveries does so with all that a filter names, which are parked or waiting; "" is parked. It passes over what
	// may not be retried, and keeps for the audit what it is told of how many there were.
	RetryDeliveries(ctx context.Context, f router.DeliveryFilter, audit func(n int) router.AuditEntry) (n int, err error)
	// Forget blanks what is held of a person everywhere, keeps digests, and says what it was.
	Forget(ctx context.Context, p router.Person) (router.Found, error)
	// Audit keeps what people did beside that. What goes through the journal is kept from there.
	Audit(ctx context.Context, entries ...router.AuditEntry) error
	// AuditEntries returns at most limit entries of the audit, newest first: those before an id, or all for 0.
	AuditEntries(ctx context.Context, before int64, limit int) ([]router.AuditEntry, error)
	// Append writes events to the journal and returns how many were new; ErrBusy means try again soon.
	Append(ctx context.Context, events []router.Event) (int, error)
	// EventProgress says how far the fold has come with an event that was appended, by its digest.
	EventProgress(ctx context.Context, digest string) (router.EventProgress, error)
	// ConsoleKey returns the key that sessions are signed with: the same for every process on the database.
	ConsoleKey(ctx context.Context) ([]byte, error)
	// PageStamp names the state of all that pages show: another one means that something may have changed.
	PageStamp(ctx context.Context) (string, error)
	// Lanes says how it stands with every notifier that was ever told something, by name.
	Lanes(ctx context.Context) ([]router.Lane, error)
	// Stats counts what is stored.
	Stats(ctx context.Context) (router.Stats, error)
	// Ping says whether the storage answers.
	Ping(ctx context.Context) error
	// Progress says where the fold and the deliveries stand at a time.
	Progress(ctx context.Context, now time.Time) (router.Progress, error)
}

// Console is the handler of the admin address.
type Console struct {
	cfg      Config
	store    Store
	progress *progress
	refused  *refusals
	faults   *faultLog
	wrong    *wrongTokens
	web      *web
	key      signInKey
	tries    tries
	checks   checks
	handler  http.Handler
	turns    turns
	files    chan struct{} // held by whoever makes a file of incidents: one at a time, for its memory
}

// New returns the handler over a store. Watch should run beside it.
func New(cfg Config, s Store) (*Console, error) {
	if s == nil {
		return nil, errors.New("console: no store")
	}
	cfg = cfg.withDefaults()
	c := &Console{cfg: cfg, store: s, progress: &progress{}, refused: newRefusals(cfg.Logger, cfg.Now),
		faults: &faultLog{logger: cfg.Logger, now: cfg.Now}, wrong: newWrongTokens(), turns: newTurns(),
		files: make(chan struct{}, 1)}
	if cfg.Registerer != nil {
		if err := errors.Join(cfg.Registerer.Register(newCollector(c)),
			cfg.Registerer.Register(c.refused.counted)); err != nil {
			return nil, fmt.Errorf("console: register metrics: %w", err)
		}
	}
	var err error
	if c.web, err = c.newWeb(); err != nil {
		return nil, fmt.Errorf("console: pages: %w", err)
	}
	c.handler = c.belowPrefix(c.guard(c.routes()))
	return c, nil
}

// ServeHTTP answers one request.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// belowPrefix takes requests with the prefix as those without: some proxies leave it in the path, and some take it out.
func (c *Console) belowPrefix(next http.Handler) http.Handler {
	if c.cfg.Prefix == "" {
		return next
	}
	stripped := http.StripPrefix(c.cfg.Prefix, next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == c.cfg.Prefix:
			http.Redirect(w, r, c.path("/"), http.StatusSeeOther)
		case strings.HasPrefix(r.URL.Path, c.cfg.Prefix+"/"):
			stripped.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (c *Console) routes() http.Handler {
	mux := httprouter.New()
	mux.RedirectTrailingSlash, mux.RedirectFixedPath, mux.HandleOPTIONS = false, false, false

	for _, route := range c.apiRoutes() {
		if route.method == http.MethodGet {
			route.handle = c.turns.each(route.handle)
		}
		mux.Handle(route.method, route.path, route.handle)
	}

	c.addPages(mux)

	mux.GET("/healthz", c.answer(c.health))
	mux.GET("/readyz", c.answer(c.ready))
	if c.cfg.Gatherer != nil {
		mux.Handler(http.MethodGet, "/metrics", c.metrics())
	}

	mux.NotFound = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := meant(r); to != "" {
			w.Header().Set("Location", c.path(to))
			w.WriteHeader(http.StatusSeeOther)
			return
		}
		c.fail(w, r, refuse(http.StatusNotFound, "there is nothing at %s", r.URL.Path))
	})
	mux.MethodNotAllowed = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allow := slices.DeleteFunc(strings.Split(w.Header().Get("Allow"), ", "),
			func(m string) bool { return m == http.MethodOptions }) // it names that even when it does not answer it
		headers := allow
		if slices.Contains(allow, http.MethodGet) {
			headers = append(slices.Clone(allow), http.MethodHead)
		}
		w.Header().Set("Allow", strings.Join(headers, ", "))
		c.fail(w, r, refuse(http.StatusMethodNotAllowed, "%s is not possible here: use %s", r.Method,
			strings.Join(allow, " or ")))
	})
	return headLikeGet(mux)
}

// meant is the page that somebody meant by an address with nothing there, "" for none: the list of incidents, or what
// stands before a slash too many.
func meant(r *http.Request) string {
	path := "/" + strings.Trim(r.URL.Path, "/") // never that of another host: //example.com/
	switch {
	case r.Method != http.MethodGet || strings.HasPrefix(path, "/api"):
		return ""
	case path == "/incidents":
		path = "/"
	case !strings.HasSuffix(r.URL.Path, "/"):
		return ""
	}
	to := url.URL{Path: path, RawQuery: r.URL.RawQuery}
	return to.String()
}

// headLikeGet answers HEAD as GET is answered; the server leaves out the body.
func headLikeGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			r = r.Clone(r.Context())
			r.Method = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}
