package whatsapp

import (
	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

// result is how a post was answered.
type result int

const (
	accepted     result = iota // 200
	unsigned                   // 401
	large                      // 413
	busy                       // 503, too much waits, or arrives
	failed                     // 503, storage failed
	broken                     // the caller went away
	notForwarded               // stored; answered as the receiver behind did, or 502 to 504
	results
)

var resultNames = [results]string{"accepted", "unsigned", "too_large", "busy", "storage_failed", "broken",
	"not_forwarded"}

// metrics are counted without a lookup on the path of every post.
type metrics struct {
	posts           [results]prometheus.Counter
	events          map[string]prometheus.Counter // by name; "" for all others
	ignoredMessages prometheus.Counter            // of the field messages
	ignored         map[string]prometheus.Counter // by key of Ignored
	repeats         prometheus.Counter
	took            prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) *metrics {
	posts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "flowbridge_posts_total", Help: "Webhook posts by how they were answered."}, []string{"result"})
	events := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "flowbridge_events_total", Help: "Events received, repeats included, by name."}, []string{"event"})
	m := &metrics{
		events: map[string]prometheus.Counter{"": events.WithLabelValues("other")},
		ignoredMessages: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flowbridge_messages_let_go_total", Help: "Changes of the field messages that no rule asks for."}),
		repeats: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "flowbridge_events_repeated_total", Help: "Events dropped because they were stored before."}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "flowbridge_post_seconds", Help: "Time to answer a post. Meta asks for a median of 250 ms at most.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}}),
	}
	ignored := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "flowbridge_changes_let_go_total",
		Help: "Changes that were not stored, by field: they hold what people write and no rule asks for them; or they are " +
			"of another product."}, []string{"field"})
	m.ignored = map[string]prometheus.Counter{}
	for _, field := range append(router.ChatFields(), fieldMessages, OtherProduct) {
		m.ignored[field] = ignored.WithLabelValues(field)
	}
	for i, name := range resultNames {
		m.posts[i] = posts.WithLabelValues(name)
	}
	for _, s := range router.Signals() {
		if s.Field != "" {
			name := router.EventOf(s.Name)
			m.events[name] = events.WithLabelValues(name)
		}
	}
	if r != nil {
		r.MustRegister(posts, events, ignored, m.ignoredMessages, m.repeats, m.took)
	}
	return m
}

// ignore counts what was let go.
func (m *metrics) ignore(what Ignored) {
	for field, n := range what {
		m.ignored[field].Add(float64(n))
	}
	m.ignoredMessages.Add(float64(what[fieldMessages]))
}

func (m *metrics) event(name string) {
	c, ok := m.events[name]
	if !ok {
		c = m.events[""]
	}
	c.Inc()
}
