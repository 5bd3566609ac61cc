package sandbox

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"flowbridge/router"
)

// WebhookConfig is what a stand-in receiver may be told. A zero field takes its default.
type WebhookConfig struct {
	// Secret is what messages must be signed with: whsec_ and base64. Required.
	Secret router.Secret
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// WebhookReceiver is a stand-in for a receiver of Standard Webhooks: it refuses what is not signed well or is older
// than five minutes, and drops what it has had. Its methods may be called from several goroutines.
type WebhookReceiver struct {
	core
	cfg      WebhookConfig
	messages []WebhookMessage
}

// WebhookMessage is one message that was taken.
type WebhookMessage struct {
	ID      string
	Type    string
	Body    []byte
	Repeats int // how often it came again
	At      time.Time
}

// webhookTolerance is how old a message may be. Source: the libraries of Standard Webhooks.
const webhookTolerance = 5 * time.Minute

// NewWebhookReceiver returns a receiver that has had nothing.
func NewWebhookReceiver(cfg WebhookConfig) *WebhookReceiver {
	return &WebhookReceiver{core: newCore(cfg.Now, 0), cfg: cfg}
}

// Messages returns what was taken, oldest first, each once.
func (w *WebhookReceiver) Messages() []WebhookMessage {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.messages)
}

// ServeHTTP takes a message.
func (w *WebhookReceiver) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.serve(rw, r, r.Method, func(body []byte) request { return &webhookCall{w: w, r: r, body: body} })
}

// webhookCall is one call.
type webhookCall struct {
	w    *WebhookReceiver
	r    *http.Request
	body []byte
}

func (p *webhookCall) note(call *Call) { call.DedupKey = p.r.Header.Get("webhook-id") }

func (p *webhookCall) act(call *Call) answer {
	refuse := func(status int, why string) answer {
		out := jsonAnswer(status, map[string]any{"error": why})
		out.err = why
		return out
	}
	var m struct {
		Type string `json:"type"`
	}
	switch {
	case p.r.Method != http.MethodPost:
		return refuse(http.StatusMethodNotAllowed, "not a POST")
	case p.r.Header.Get("Content-Type") != "application/json":
		return refuse(http.StatusUnsupportedMediaType, "not JSON")
	case !p.fresh():
		return refuse(http.StatusUnauthorized, "no webhook-timestamp of now")
	case !p.signed():
		return refuse(http.StatusUnauthorized, "no good webhook-signature")
	case json.Unmarshal(p.body, &m) != nil || m.Type == "":
		return refuse(http.StatusBadRequest, "no message")
	}
	call.Action = m.Type
	id := p.r.Header.Get("webhook-id")
	if i := slices.IndexFunc(p.w.messages, func(had WebhookMessage) bool { return had.ID == id }); i >= 0 {
		p.w.messages[i].Repeats++
	} else {
		p.w.messages = append(p.w.messages, WebhookMessage{ID: id, Type: m.Type, Body: p.body, At: p.w.now()})
	}
	return answer{status: http.StatusNoContent}
}

func (p *webhookCall) fresh() bool {
	seconds, err := strconv.ParseInt(p.r.Header.Get("webhook-timestamp"), 10, 64)
	return err == nil && p.w.now().Sub(time.Unix(seconds, 0)).Abs() <= webhookTolerance
}

// signed says whether one of the signatures is made with the secret.
func (p *webhookCall) signed() bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(p.w.cfg.Secret.Reveal(), "whsec_"))
	id := p.r.Header.Get("webhook-id")
	if err != nil || len(key) == 0 || id == "" || strings.Contains(id, ".") {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + p.r.Header.Get("webhook-timestamp") + "."))
	mac.Write(p.body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return slices.ContainsFunc(strings.Fields(p.r.Header.Get("webhook-signature")),
		func(one string) bool { return hmac.Equal([]byte(one), want) })
}
