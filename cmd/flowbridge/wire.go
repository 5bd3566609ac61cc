package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/julienschmidt/httprouter"
	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
	"flowbridge/router/console"
	"flowbridge/router/delivery"
	"flowbridge/router/whatsapp"
)

// wire builds the rooms over the store, in the order in which an event goes through them. without says why there is no
// notifier of a kind.
func (b *bridge) wire(notifiers map[router.Kind]delivery.Notifier, without map[router.Kind]string,
	metrics *prometheus.Registry) (err error) {
	if err := b.wireIntake(metrics); err != nil {
		return err
	}
	if err := errors.Join(b.wireGraph(metrics), b.wireProbes(metrics)); err != nil {
		return err
	}
	b.router, err = router.New(router.Config{
		Rules:      b.namedRules,
		OnHits:     b.hits.count,
		Now:        b.cfg.Now,
		Logger:     b.cfg.Logger,
		Registerer: metrics,
	}, b.store)
	if err != nil {
		return err
	}
	if err := b.wireDelivery(notifiers, without, metrics); err != nil {
		return err
	}
	b.admin, err = console.New(b.consoleConfig(budgetsOf(notifiers), metrics), b.store)
	if err != nil {
		return err
	}
	return b.wirePublic(metrics)
}

// wireIntake builds what takes Meta's posts.
func (b *bridge) wireIntake(metrics *prometheus.Registry) (err error) {
	b.intake, err = whatsapp.New(whatsapp.Config{
		AppSecrets:     b.cfg.AppSecrets,
		AppSecretsNow:  b.cfg.SecretFiles.all("META_APP_SECRET"),
		VerifyToken:    b.cfg.VerifyToken,
		VerifyTokenNow: b.cfg.SecretFiles.one("META_VERIFY_TOKEN"),
		WantsField:     func(field string) bool { return b.rules.rules().WantsField(field) },
		Wants:          func(e *router.Event) bool { return b.rules.rules().Wants(e) },
		Forward:        b.cfg.Forward,
		Seen:           b.background.saw,
		Took:           b.watcher.meter.Add,
		Now:            b.cfg.Now,
		Logger:         b.cfg.Logger,
		Registerer:     metrics,
	}, b.store)
	return err
}

// wireDelivery builds what tells people.
func (b *bridge) wireDelivery(notifiers map[router.Kind]delivery.Notifier, without map[router.Kind]string,
	metrics *prometheus.Registry) (err error) {
	b.deliverer, err = delivery.New(delivery.Config{
		Notifiers:     notifiers,
		Without:       without,
		Target:        func(notifier string) (router.Target, bool) { return b.rules.rules().Target(notifier) },
		Link:          b.link,
		Console:       b.consoleURL(),
		KeepsAttempts: b.cfg.KeepAttempts > 0,
		Unbudgeted:    b.cfg.Unbudgeted,
		Now:           b.cfg.Now,
		Logger:        b.cfg.Logger,
		Registerer:    metrics,
	}, b.store)
	return err
}

// consoleConfig is what the pages and the API of the admin address are made of: how to get in, what /metrics shows, and
// what the rules say whenever they are asked.
func (b *bridge) consoleConfig(budgets func(router.Target) []router.Charge,
	metrics *prometheus.Registry) console.Config {
	var reload func() error
	if b.cfg.ReadRules != nil {
		reload = func() error { return b.rules.reload(context.Background()) }
	}
	return console.Config{
		Token:          b.cfg.AdminToken,
		TokenNow:       b.cfg.SecretFiles.one(adminToken),
		ViewToken:      b.cfg.ViewToken,
		ViewTokenNow:   b.cfg.SecretFiles.one(viewToken),
		UserHeader:     b.cfg.UserHeader,
		TrustedProxies: b.cfg.TrustedProxies,
		Hosts:          adminHosts(b.cfg.Admin, b.cfg.PublicURL),
		Prefix:         b.cfg.Prefix,

		Gatherer:     prometheus.Gatherers{metrics, b.cfg.Faults.gatherer(true), b.hits.gatherer()},
		OpenGatherer: prometheus.Gatherers{metrics, b.cfg.Faults.gatherer(false)},
		Registerer:   metrics,
		StalledAfter: b.cfg.StalledAfter,

		Reload:      reload,
		Rules:       b.rules.trouble,
		RulesNow:    func() string { return b.rules.rules().Version() },
		FlowIDs:     func(name string) []string { return b.rules.rules().FlowIDs(name) },
		FlowName:    b.flowName,
		AccountIDs:  func(name string) []string { return b.rules.rules().AccountIDs(name) },
		AccountName: b.accountName,
		Misnamed:    func(s *router.Scope) []string { return b.rules.rules().Misnamed(s) },
		Notifiers:   func() []router.Target { return b.rules.rules().Targets() },
		RulesNaming: func(notifier string) []string { return b.rules.rules().Naming(notifier) },
		Explain:     b.explainEvent,
		Why:         b.why,
		Tools:       b.rulesTools(),

		Budgets:     budgets,
		Examine:     examineFor(b.cfg.Examine),
		Manual:      manualFiles(),
		ManualPages: manualPages,
		Version:     version(),
		Logger:      b.cfg.Logger,
	}
}

// wirePublic builds what strangers may reach: Meta's webhooks, and what comes back from Slack and PagerDuty.
func (b *bridge) wirePublic(metrics *prometheus.Registry) error {
	bodies := newBodies(b.refusals)
	metrics.MustRegister(bodies.collector())
	routes := publicRoutes(b.intake, func(h http.Handler) http.Handler { return b.cfg.Certificates.guard(h, b.refusals) })
	b.public = bodies.within(routes)
	return errors.Join(b.wireSlackBack(routes, metrics), b.wirePagerDutyBack(routes, metrics))
}

// publicRoutes is what Meta may reach: webhooks and nothing else. guard stands before what only Meta may call.
func publicRoutes(intake *whatsapp.Handler, guard func(http.Handler) http.Handler) *httprouter.Router {
	routes := httprouter.New()
	routes.HandleOPTIONS = false
	routes.RedirectTrailingSlash = false
	routes.RedirectFixedPath = false
	routes.Handler(http.MethodGet, "/webhooks/whatsapp", guard(http.HandlerFunc(intake.Verify)))
	routes.Handler(http.MethodPost, "/webhooks/whatsapp", guard(http.HandlerFunc(intake.Receive)))
	return routes
}
