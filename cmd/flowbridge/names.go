package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
	"flowbridge/router/graph"
)

// wireGraph makes what asks Meta for names, where there is a token for that.
// And what looks after what no webhook told: without a token, it says that nothing was heard.
func (b *bridge) wireGraph(metrics *prometheus.Registry) (err error) {
	watch := graph.WatchConfig{
		UnheardAfter: func(event string) time.Duration { return b.rules.rules().UnheardAfter(event) },
		VersionEnds: func(version string) (time.Time, router.EndsBy) {
			return b.rules.rules().VersionEnds(version)
		},
		Named: func() []string { return b.rules.rules().NamedFlows() },
		Now:   b.cfg.Now, Logger: b.cfg.Logger,
	}
	if b.cfg.GraphToken != "" {
		b.graph, err = graph.New(graph.Config{
			Token: b.cfg.GraphToken, TokenNow: b.cfg.SecretFiles.one(graphToken), URL: b.cfg.GraphURL,
			Now: b.cfg.Now, Logger: b.cfg.Logger, Registerer: metrics,
		})
		if err != nil {
			return err
		}
		watch.Look = b.graph.Look
	}
	b.flowWatch, err = graph.NewFlowWatch(watch, b.store)
	return err
}

// namedRules returns the rules in force. What they do not name is named by Graph, where Graph is asked.
func (b *bridge) namedRules() router.Rules {
	if b.graph == nil {
		return b.rules.rules()
	}
	return graph.Rules(b.rules.rules(), b.graph)
}

// flowName is what the rules call a flow, else what Meta does where Graph is asked; "" where neither is known.
func (b *bridge) flowName(id string) string {
	return b.nameOf(graph.Flow, id, b.rules.rules().Flow(id).FlowName)
}

// accountName is what the rules call an account, else what Meta does where Graph is asked; "" where neither is known.
func (b *bridge) accountName(id string) string {
	return b.nameOf(graph.Account, id, b.rules.rules().Account(id).AccountName)
}

func (b *bridge) nameOf(kind graph.Kind, id, given string) string {
	if given != "" || b.graph == nil {
		return given
	}
	name, _ := b.graph.Name(kind, id)
	return name
}

// runGraph asks for names until ctx ends.
func (b *bridge) runGraph(ctx context.Context) {
	if b.graph != nil {
		b.graph.Run(ctx)
	}
}
