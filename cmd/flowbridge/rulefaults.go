package main

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
	"flowbridge/router/rules"
)

// ruleFaults counts what of the rules fails on an event, though it was good when it was read, and logs some of it: the
// built-in words, or no match, stand in for it.
type ruleFaults struct {
	counted *prometheus.CounterVec
	unnamed *prometheus.CounterVec // the same, for who may not know what rules there are
	logger  *slog.Logger
	limiter router.LogLimiter
}

func newRuleFaults(logger *slog.Logger) *ruleFaults {
	const name = "flowbridge_rule_faults_total"
	const help = "Times that a template (title or text) or an expression (when) of a rule failed on an event, by rule."
	return &ruleFaults{
		logger:  logger,
		counted: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"rule", "part"}),
		unnamed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"part"}),
	}
}

// gatherer returns the metrics, with the names of the rules or without. Nil has none.
func (f *ruleFaults) gatherer(named bool) prometheus.Gatherer {
	metrics := prometheus.NewRegistry()
	switch {
	case f == nil:
	case named:
		metrics.MustRegister(f.counted)
	default:
		metrics.MustRegister(f.unnamed)
	}
	return metrics
}

// config is that of rules which tell of their faults.
func (f *ruleFaults) config(c rules.Config) rules.Config {
	c.OnTemplateError = func(rule string, err error) { f.note(rule, "template", "the built-in words are used", err) }
	c.OnWhenError = func(rule string, err error) { f.note(rule, "when", "the rule does not match", err) }
	return c
}

func (f *ruleFaults) note(rule, part, then string, err error) {
	f.counted.WithLabelValues(rule, part).Inc()
	f.unnamed.WithLabelValues(part).Inc()
	if f.limiter.Allow(time.Now()) {
		f.logger.Warn("a rule failed on an event: "+then, "rule", rule, "part", part, "error", err)
	}
}
