// Package graph learns from Meta's Graph API how people call accounts, phone numbers and flows that the rules file does
// not name. It is never needed and never waited for: Name answers at once from what is known, and a name that is not
// known yet is asked for in the background and there at the next event. Where names are shown is left to the router and
// the notifiers.
package graph

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

// Kind is what an id is of.
type Kind string

// What has a name at Meta.
const (
	Account Kind = "account" // a WhatsApp Business Account
	Phone   Kind = "phone"   // a business phone number, by its id: not by its digits
	Flow    Kind = "flow"
)

// fields are asked for of each kind. Source: Meta's references of WhatsApp Business Account, WhatsApp Business Phone
// Number and Flow.
var fields = map[Kind]string{Account: "name", Phone: "display_phone_number,verified_name", Flow: "name,status"}

const (
	// DefaultURL is where Meta answers.
	DefaultURL = "https://graph.facebook.com"
	// Version is that of the API, unless the URL ends with one. Meta answers a version for two years at least, and one
	// that is over as the oldest that is not.
	Version = "v23.0"
)

// Config is what a Client may be told. A zero field takes its default.
type Config struct {
	// Token is an access token with whatsapp_business_management. Required.
	Token router.Secret
	// TokenNow returns the one in force; it is asked before each call, in the background. Default: Token.
	TokenNow func() router.Secret
	// URL is where the API is; one that ends in a version, such as /v24.0, chooses that. Default: DefaultURL.
	URL string
	// Every is the time between two calls, at least. Default: 1 s.
	Every time.Duration
	// Hourly is how many calls are made within an hour, at most. Meta gives an app 200 an hour for an account that is not
	// active. Default: 200.
	Hourly int
	// Timeout bounds one call. Default: 5 s.
	Timeout time.Duration
	// Keep is how long a name is taken as it is; after that it is asked for anew, and shown meanwhile. Default: 24 h.
	Keep time.Duration
	// KeepError is how long nothing is asked about what could not be learnt. Default: 1 h.
	KeepError time.Duration
	// Most is how many answers are kept; the oldest gives way. Default: 10,000.
	Most int
	// Queue is how many names wait to be asked for; the others are asked for when they are needed again. Default: 256.
	Queue int
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets a line when Graph gives no names, an hour apart at least for each reason. Default: none.
	Logger *slog.Logger
	// Registerer gets the metrics. Default: none are kept.
	Registerer prometheus.Registerer
}

// Client knows names. Its methods may be called from several goroutines; Run must be called once.
type Client struct {
	cfg     Config
	address string // with the version, without a slash at its end
	http    *http.Client
	calls   map[outcome]prometheus.Counter
	asks    map[outcome]prometheus.Counter // looks
	queue   chan key
	looks   chan lookCall

	mu      sync.Mutex
	answers map[key]*list.Element // of *answer
	oldest  *list.List
	waiting map[key]bool // in the queue, or being asked for
	// endpoints are those of flows, by the last look at each
	endpoints map[string]router.Secret

	// Of Run alone.
	made   []time.Time // calls of the last hour, oldest first
	looked []time.Time // those of them that were looks
	pause  pause
	told   map[outcome]time.Time // when the log was told of a reason
}

// key is what is asked for.
type key struct {
	kind Kind
	id   string
}

// answer is what is known of a key.
type answer struct {
	key
	name  string    // "" where Graph gave none
	until time.Time // it is asked for anew
}

// pause is a time in which Graph is not asked, of whatever: the token is refused, or the budget of the app is used up.
type pause struct {
	until time.Time
	token router.Secret // another one ends it
}

// ids are what Graph is asked for: Meta's ids are digits, and nothing else may become part of a path. 0 is the account
// of the samples that Meta's dashboard sends.
var ids = regexp.MustCompile(`^[1-9][0-9]{0,31}$`)

// New returns a Client that knows no name. Run must follow: it asks.
func New(cfg Config) (*Client, error) {
	if cfg.Token == "" {
		return nil, errors.New("graph: no access token: set META_ACCESS_TOKEN")
	}
	address, err := Address(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("graph: %w", err)
	}
	cfg.Every = cmp.Or(cfg.Every, time.Second)
	cfg.Hourly = cmp.Or(cfg.Hourly, 200)
	cfg.Timeout = cmp.Or(cfg.Timeout, 5*time.Second)
	cfg.Keep = cmp.Or(cfg.Keep, 24*time.Hour)
	cfg.KeepError = cmp.Or(cfg.KeepError, time.Hour)
	cfg.Most = cmp.Or(cfg.Most, 10_000)
	cfg.Queue = cmp.Or(cfg.Queue, 256)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.TokenNow == nil {
		cfg.TokenNow = func() router.Secret { return cfg.Token }
	}
	c := &Client{
		cfg: cfg, address: address, http: newHTTPClient(cfg.Timeout), calls: map[outcome]prometheus.Counter{},
		asks:  map[outcome]prometheus.Counter{},
		queue: make(chan key, cfg.Queue), looks: make(chan lookCall),
		waiting: map[key]bool{}, endpoints: map[string]router.Secret{},
		answers: map[key]*list.Element{}, oldest: list.New(), told: map[outcome]time.Time{},
	}
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "flowbridge_graph_calls_total", Help: "Names asked of Meta's Graph API, by how that ended.",
	}, []string{"outcome"})
	looks := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "flowbridge_graph_looks_total",
		Help: "Looks at the health of a flow through Meta's Graph API, by how that ended.",
	}, []string{"outcome"})
	for _, o := range outcomes {
		c.calls[o] = calls.WithLabelValues(string(o))
		c.asks[o] = looks.WithLabelValues(string(o))
	}
	if cfg.Registerer != nil {
		if err := errors.Join(cfg.Registerer.Register(calls), cfg.Registerer.Register(looks)); err != nil {
			return nil, fmt.Errorf("graph: %w", err)
		}
	}
	return c, nil
}

// Address reads where the API is, "" for Meta's own, and returns it with a version and without a slash at its end. Its
// errors do not quote it.
func Address(text string) (string, error) {
	u, err := url.Parse(cmp.Or(text, DefaultURL))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return "", errors.New("META_GRAPH_URL is no http or https address")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("META_GRAPH_URL: leave out user, password, query and fragment")
	}
	address := strings.TrimRight(u.String(), "/")
	if !versioned.MatchString(u.Path) {
		address += "/" + Version
	}
	return address, nil
}

var versioned = regexp.MustCompile(`/v[0-9]+\.[0-9]+/*$`)

// Name returns what something is called at Meta, on one line. ok is false where that is not known: it is asked for
// then, and may be known the next time. It never waits for Graph.
func (c *Client) Name(kind Kind, id string) (name string, ok bool) {
	if !ids.MatchString(id) || fields[kind] == "" {
		return "", false
	}
	k := key{kind, id}
	c.mu.Lock()
	defer c.mu.Unlock()
	known := false
	if at := c.answers[k]; at != nil {
		a := at.Value.(*answer)
		name, known = a.name, c.cfg.Now().Before(a.until)
	}
	if !known && !c.waiting[k] {
		select {
		case c.queue <- k:
			c.waiting[k] = true
		default: // at the next event, if it matters
		}
	}
	return name, name != ""
}

// Run asks for names until ctx ends.
func (c *Client) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case k := <-c.queue:
			c.ask(ctx, k)
		case l := <-c.looks:
			c.look(ctx, l)
		}
		if !router.Sleep(ctx, c.cfg.Every) {
			return
		}
	}
}

// ask makes one call, once the budget has room for it.
func (c *Client) ask(ctx context.Context, k key) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting, k)
	}()
	if !c.budget(ctx) {
		return
	}
	token := c.cfg.TokenNow()
	if c.cfg.Now().Before(c.pause.until) && token == c.pause.token {
		return // nothing is kept: it is asked for as soon as the pause is over
	}
	c.made = append(c.made, c.cfg.Now())
	name, fault := c.call(ctx, k, token)
	if ctx.Err() != nil {
		return // cut short: no answer
	}
	if fault == nil {
		c.pause = pause{}
		c.keep(k, name, c.cfg.Keep)
		c.calls[asked].Inc()
		return
	}
	c.calls[fault.outcome].Inc()
	c.report("Graph gives no name; ids are shown in its place", k, fault)
	if fault.outcome.ofAll() {
		c.pause = pause{until: c.cfg.Now().Add(c.cfg.KeepError), token: token}
		return
	}
	c.keep(k, "", c.cfg.KeepError)
}

// budget waits until a call may be made; false says that ctx has ended.
func (c *Client) budget(ctx context.Context) bool {
	for {
		now := c.cfg.Now()
		c.made = withinHour(c.made, now)
		if len(c.made) < c.cfg.Hourly {
			return true
		}
		if !router.Sleep(ctx, max(c.made[0].Add(time.Hour).Sub(now), time.Millisecond)) {
			return false
		}
	}
}

// withinHour returns those of some calls that the budget still counts.
func withinHour(calls []time.Time, now time.Time) []time.Time {
	for len(calls) > 0 && now.Sub(calls[0]) >= time.Hour {
		calls = calls[1:]
	}
	return calls
}

// keep remembers an answer. A name that was known outlives a fault: it is better than none.
func (c *Client) keep(k key, name string, long time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &answer{key: k, name: name, until: c.cfg.Now().Add(long)}
	if at := c.answers[k]; at != nil {
		a.name = cmp.Or(name, at.Value.(*answer).name)
		at.Value = a
		c.oldest.MoveToBack(at)
		return
	}
	if len(c.answers) >= c.cfg.Most {
		delete(c.answers, c.oldest.Remove(c.oldest.Front()).(*answer).key)
	}
	c.answers[k] = c.oldest.PushBack(a)
}

// report tells the log of a fault.
func (c *Client) report(what string, k key, f *fault) {
	now := c.cfg.Now()
	if last, ok := c.told[f.outcome]; ok && now.Sub(last) < time.Hour {
		return
	}
	c.told[f.outcome] = now
	c.cfg.Logger.Warn(what,
		"of", k.kind, "id", k.id, "reason", f.outcome, "error", f, "do", f.outcome.do())
}
