// Package console is the admin side for people and probes: pages and a JSON API over incidents, the journal and
// deliveries, and metrics and health. It changes nothing by itself: what a person does goes to the journal
// as an event, and is left to the router like everything else.
package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"
	"github.com/prometheus/client_golang/prometheus"

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
	// SearchIncidents is IncidentRows for a page, the worst first: it looks through so many at a time, and says what it has
	// not looked through. A page may be short, or empty, and not the last.
	SearchIncidents(ctx context.Context, f router.IncidentFilter) ([]router.IncidentRow, router.SearchRest, error)
	// Counts returns the numbers at the head of a list of incidents.
	Counts(ctx context.Context) (router.Counts, error)
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

// Config is what a Console may be told. A zero field takes its default.
type Config struct {
	// Token, if set, is asked of every request below /api/, as `Authorization: Bearer <token>`. Metrics
	// and health are open in any case, since probes carry no credentials, but quote nothing of the rules without it.
	Token router.Secret
	// TokenNow returns the one in force; it is asked for each request, since it may be replaced. Default: Token.
	TokenNow func() router.Secret
	// ViewToken is good for looking only: GET. ViewTokenNow is to it what TokenNow is to Token. Default: there is none.
	ViewToken    router.Secret
	ViewTokenNow func() router.Secret
	// UserHeader is the header in which a proxy names the person whom it has signed in; who is named so may do everything.
	// It counts from the addresses of TrustedProxies alone. Default: nobody is signed in.
	UserHeader     string
	TrustedProxies []netip.Prefix
	// Prefix is the path below which a proxy shows the console, such as "/flowbridge": every link leads below it. Requests
	// are taken with and without it. Default: none.
	Prefix string
	// Manual holds the pages of the manual, and ManualPages their names without .md, in order. Default: there is none.
	Manual      fs.FS
	ManualPages []string
	// Hosts are the names and addresses under which people reach the console, beside localhost, loopback addresses and the
	// address that a request came to. Others are answered 421. Default: none.
	Hosts []string
	// Gatherer is what /metrics shows. Default: there is no /metrics.
	Gatherer prometheus.Gatherer
	// OpenGatherer is what it shows without a token where there is one. Default: Gatherer.
	OpenGatherer prometheus.Gatherer
	// Registerer gets gauges of what is stored, read from the store at each scrape. Default: none are kept.
	Registerer prometheus.Registerer
	// Ready says what keeps the bridge from doing its work beyond storage; its text is shown. Default: nothing does.
	Ready func() error
	// StalledAfter is how long events may wait without one being folded, while this process has the right to, until
	// /readyz says no. Deliveries that are due have three times as long to be tried, and other processes four times to
	// fold. Default: 30 s.
	StalledAfter time.Duration
	// Rules says why the rules on disk are not those in force, "" while they are; its text is shown by /readyz. It
	// takes nothing from readiness: the rules in force work. Default: they always are.
	Rules func() string
	// Reload reads the rules anew. Its error, a line for each mistake, is shown to whoever asked. It may be called
	// from several goroutines. Default: POST /api/v1/reload is refused.
	Reload func() error
	// RulesNow returns the digest of the rules in force, "" where they are not kept. Default: they are not.
	RulesNow func() string
	// FlowIDs returns the ids of the flows that people call by a name; none for a name that the rules do not know.
	// Default: flows have no names, and are asked for by their ids.
	FlowIDs func(name string) []string
	// FlowName returns what a flow is called, "" if it has no name. Default: flows have no names.
	FlowName func(id string) string
	// AccountName returns what an account is called, "" if it has no name. Default: accounts have none.
	AccountName func(waba string) string
	// Misnamed says what in a scope the rules do not know, so that a silence of it would cover nothing, with the nearest
	// that they know. Default: nothing is.
	Misnamed func(s *router.Scope) []string
	// Why explains what the rules came to when an incident opened, by the rules of then: a line for each thing, and in
	// today what those in force now would say otherwise, "" for nothing. Default: the page names the rule alone.
	Why func(ctx context.Context, inc *router.IncidentDetail) (lines []WhyLine, today string, err error)
	// Tools is what pages ask of the rules. Default: nothing can be asked.
	Tools RulesTools
	// Examine looks at all that the bridge uses, as doctor does: it may take half a minute, and is asked once a minute at
	// most. Default: the page says nothing but what was seen.
	Examine func(ctx context.Context) []Check
	// Explain says, in the words of `flowbridge explain`, what the rules in force make of an event. Default: it is not
	// offered.
	Explain func(e *router.Event) (string, error)
	// Notifiers returns the notifiers of the rules in force, sorted by name. Default: nothing is known of them, and they
	// cannot be tried.
	Notifiers func() []router.Target
	// RulesNaming returns the names of the rules that tell a notifier. Default: they are not known.
	RulesNaming func(notifier string) []string
	// Budgets returns what one message to a notifier takes from the budgets of its service. Default: they are not shown.
	Budgets func(t router.Target) []router.Charge
	// AccountIDs is to accounts what FlowIDs is to flows. Default: none are known.
	AccountIDs func(name string) []string
	// Version is shown by /healthz and in the metrics. Default: "unknown".
	Version string
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets faults, and a line for each thing that a person did. Default: none.
	Logger *slog.Logger
}

// Console is the handler of the admin address.
type Console struct {
	cfg      Config
	store    Store
	progress *progress
	refused  *refusals
	wrong    *wrongTokens
	web      *web
	key      signInKey
	tries    tries
	checks   checks
	handler  http.Handler
}

// New returns the handler over a store. Watch should run beside it.
func New(cfg Config, s Store) (*Console, error) {
	if s == nil {
		return nil, errors.New("console: no store")
	}
	cfg.Version = cmp.Or(cfg.Version, "unknown")
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	cfg.StalledAfter = cmp.Or(cfg.StalledAfter, 30*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.TokenNow == nil {
		cfg.TokenNow = func() router.Secret { return cfg.Token }
	}
	if cfg.ViewTokenNow == nil {
		cfg.ViewTokenNow = func() router.Secret { return cfg.ViewToken }
	}
	if cfg.OpenGatherer == nil {
		cfg.OpenGatherer = cfg.Gatherer
	}
	hosts := make([]string, len(cfg.Hosts))
	for i, host := range cfg.Hosts {
		hosts[i] = hostOf(host)
	}
	cfg.Hosts = hosts
	if cfg.Ready == nil {
		cfg.Ready = func() error { return nil }
	}
	if cfg.FlowName == nil {
		cfg.FlowName = func(string) string { return "" }
	}
	if cfg.AccountName == nil {
		cfg.AccountName = func(string) string { return "" }
	}
	if cfg.AccountIDs == nil {
		cfg.AccountIDs = func(string) []string { return nil }
	}
	if cfg.RulesNaming == nil {
		cfg.RulesNaming = func(string) []string { return nil }
	}
	if cfg.Budgets == nil {
		cfg.Budgets = func(router.Target) []router.Charge { return nil }
	}
	if cfg.Misnamed == nil {
		cfg.Misnamed = func(*router.Scope) []string { return nil }
	}
	if cfg.RulesNow == nil {
		cfg.RulesNow = func() string { return "" }
	}
	if cfg.Rules == nil {
		cfg.Rules = func() string { return "" }
	}
	c := &Console{cfg: cfg, store: s, progress: &progress{}, refused: newRefusals(cfg.Logger, cfg.Now),
		wrong: newWrongTokens()}
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
		mux.Handle(route.method, route.path, route.handle)
	}

	c.addPages(mux)

	mux.GET("/healthz", c.answer(c.health))
	mux.GET("/readyz", c.answer(c.ready))
	if c.cfg.Gatherer != nil {
		mux.Handler(http.MethodGet, "/metrics", c.metrics())
	}

	mux.NotFound = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.fail(w, r, refuse(http.StatusNotFound, "there is nothing at %s", r.URL.Path))
	})
	mux.MethodNotAllowed = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allow := slices.DeleteFunc(strings.Split(w.Header().Get("Allow"), ", "),
			func(m string) bool { return m == http.MethodOptions })
		w.Header().Set("Allow", strings.Join(allow, ", ")) // httprouter names OPTIONS even when it does not answer them
		c.fail(w, r, refuse(http.StatusMethodNotAllowed, "%s is not possible here: use %s", r.Method,
			strings.Join(allow, " or ")))
	})
	return mux
}
