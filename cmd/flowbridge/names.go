package main

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
	"flowbridge/router/graph"
)

// wireGraph makes what asks Meta for names, where there is a token for that.
func (b *bridge) wireGraph(metrics *prometheus.Registry) (err error) {
	if b.cfg.GraphToken == "" {
		return nil
	}
	b.graph, err = graph.New(graph.Config{
		Token: b.cfg.GraphToken, TokenNow: b.cfg.SecretFiles.one(graphToken), URL: b.cfg.GraphURL,
		Now: b.cfg.Now, Logger: b.cfg.Logger, Registerer: metrics,
	})
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
