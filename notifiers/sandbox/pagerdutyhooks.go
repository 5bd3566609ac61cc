package sandbox

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"flowbridge/router"
)

// webhookTimeout is how long PagerDuty waits for an answer.
const webhookTimeout = 5 * time.Second

// subscription is where webhooks go, and with what they are signed.
type subscription struct {
	url    string
	secret router.Secret
}

// Webhook is a post of the stand-in to its subscriber.
type Webhook struct {
	Type     string // "incident.acknowledged"
	Incident int64  // number; 0 for a ping
	Attempts int
	Status   int  // of the last answer; 0 where there was none
	Dropped  bool // refused for good
}

// webhookPost is one that waits, with its signed body.
type webhookPost struct {
	Webhook
	id   string
	body []byte
}

// Subscribe makes what happens from now on be told to an address. SendWebhooks does the telling.
func (p *PagerDuty) Subscribe(url string, secret router.Secret) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.subscription = subscription{url, secret}
}

// Ping sends what PagerDuty sends when somebody tests a subscription.
func (p *PagerDuty) Ping() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enqueue("pagey.ping", nil, map[string]any{"type": "ping", "message": "Hello from your friend Pagey!"}, nil)
	p.wake()
}

// Webhooks returns those that were taken or given up, in the order in which that happened.
func (p *PagerDuty) Webhooks() []Webhook {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sent)
}

// Unsent returns how many webhooks wait to be sent.
func (p *PagerDuty) Unsent() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

// SendWebhooks tells the subscriber what happened, one thing after the other, until ctx ends. What is answered with a
// 5xx, a 429 or not at all is sent again, and what follows waits for it; another 4xx drops one for good.
func (p *PagerDuty) SendWebhooks(ctx context.Context) {
	for ctx.Err() == nil {
		p.mu.Lock()
		changed, to := p.changed, p.subscription
		var next *webhookPost
		if len(p.queue) > 0 {
			next = p.queue[0]
		}
		p.mu.Unlock()
		if next == nil {
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		}
		status := post(ctx, to, next)
		again := status == 0 || status == http.StatusTooManyRequests || status/100 == 5
		p.mu.Lock()
		next.Attempts++
		next.Status, next.Dropped = status, !again && status/100 != 2
		if !again {
			p.queue = p.queue[1:]
			p.sent = newest(append(p.sent, next.Webhook), p.keep)
		}
		p.wake()
		p.mu.Unlock()
		if again {
			select {
			case <-ctx.Done():
			case <-time.After(min(p.cfg.WebhookRetry<<min(next.Attempts-1, 10), time.Minute)):
			}
		}
	}
}

// post sends a webhook once and returns the status of the answer, 0 for none.
func post(ctx context.Context, to subscription, w *webhookPost) (status int) {
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(w.body))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "PagerDuty-Webhook/V3.0")
	req.Header.Set("X-Webhook-Id", w.id)
	req.Header.Set("X-PagerDuty-Signature", SignWebhook(to.secret, w.body))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxBody)
	return resp.StatusCode
}

// SignWebhook returns the header with which PagerDuty signs a body.
func SignWebhook(secret router.Secret, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret.Reveal()))
	mac.Write(body)
	return "v1=" + hex.EncodeToString(mac.Sum(nil))
}

// agent is who did something, as PagerDuty names them; nil for nobody.
type agent map[string]any

// integration does what the Events API asks for.
var integration = agent{"id": "PINTEGR", "type": "inbound_integration_reference", "summary": "Events API V2"}

// user is a person; "" is nobody.
func user(name string) agent {
	if name == "" {
		return nil
	}
	return agent{"id": pagerUserID(name), "type": "user_reference", "summary": name}
}

func pagerUserID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "U" + hex.EncodeToString(sum[:4])
}

// tell queues a webhook about an incident; data is what it says instead of the incident itself. p.mu is held.
func (p *PagerDuty) tell(kind string, inc *Incident, by agent, data map[string]any) {
	if data == nil {
		data = p.hookData(inc)
	}
	p.enqueue(kind, by, data, inc)
}

func (p *PagerDuty) enqueue(kind string, by agent, data map[string]any, inc *Incident) {
	if p.subscription.url == "" {
		return
	}
	event := map[string]any{
		"id": rand.Text(), "event_type": kind, "resource_type": "incident",
		"occurred_at": p.now().UTC().Format("2006-01-02T15:04:05.000Z"),
		"agent":       nil, "client": nil, "data": data,
	}
	if by != nil {
		event["agent"] = by
	}
	body, err := json.Marshal(map[string]any{"event": event})
	if err != nil { // our own maps always marshal
		return
	}
	w := &webhookPost{Webhook: Webhook{Type: kind}, id: rand.Text(), body: body}
	if inc != nil {
		w.Incident = inc.Number
	}
	p.queue = append(p.queue, w)
}

// hookData writes an incident as webhooks do.
func (p *PagerDuty) hookData(inc *Incident) map[string]any {
	assignees := []any{}
	for _, name := range inc.Assignees {
		assignees = append(assignees, user(name))
	}
	data := map[string]any{
		"id": inc.ID, "type": "incident", "html_url": inc.url(), "number": inc.Number, "status": inc.Status,
		"title":      inc.Summary,
		"created_at": inc.OpenedAt.UTC().Format(time.RFC3339), "incident_key": p.incidentKey(inc), "assignees": assignees,
		"service": p.service(inc.RoutingKey), "urgency": "high", "priority": nil, "resolve_reason": nil,
	}
	if inc.Priority != "" {
		data["priority"] = map[string]any{"id": "PPRIO", "type": "priority_reference", "summary": inc.Priority}
	}
	if target := p.numbered(inc.MergedInto); target != nil {
		data["resolve_reason"] = map[string]any{"type": "merge_resolve_reason", "incident": target.reference()}
	}
	return data
}

// incidentKey is null where there is none.
func (p *PagerDuty) incidentKey(inc *Incident) any {
	if p.cfg.NoKeys {
		return nil
	}
	return inc.DedupKey
}

// incidentPages is where the pages of incidents are.
const incidentPages = "https://example.pagerduty.com/incidents/"

func (i *Incident) url() string { return incidentPages + i.ID }

func (i *Incident) reference() map[string]any {
	return map[string]any{
		"id": i.ID, "type": "incident_reference", "html_url": i.url(), "summary": fmt.Sprintf("[#%d] %s", i.Number,
			i.Summary),
	}
}
