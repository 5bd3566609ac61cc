package console

import (
	"cmp"
	"context"
	"io/fs"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

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

// withDefaults fills in what was not given. What has no default may be nil: there it says what is not offered.
func (cfg Config) withDefaults() Config {
	cfg.Version = cmp.Or(cfg.Version, "unknown")
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	cfg.StalledAfter = cmp.Or(cfg.StalledAfter, 30*time.Second)
	hosts := make([]string, len(cfg.Hosts))
	for i, host := range cfg.Hosts {
		hosts[i] = hostOf(host)
	}
	cfg.Hosts = hosts
	if cfg.OpenGatherer == nil {
		cfg.OpenGatherer = cfg.Gatherer
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.TokenNow == nil {
		cfg.TokenNow = func() router.Secret { return cfg.Token }
	}
	if cfg.ViewTokenNow == nil {
		cfg.ViewTokenNow = func() router.Secret { return cfg.ViewToken }
	}
	if cfg.Ready == nil {
		cfg.Ready = func() error { return nil }
	}
	if cfg.Rules == nil {
		cfg.Rules = func() string { return "" }
	}
	if cfg.RulesNow == nil {
		cfg.RulesNow = func() string { return "" }
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
	return cfg
}
