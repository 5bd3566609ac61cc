// Package webhook posts what happens to incidents, and news, to receivers of your own: JSON that is signed as Standard
// Webhooks 1.0.0. Whom to tell and when to try again is left to the rules and the queue.
//
// A message holds how the incident stands by now, not what changed. Its webhook-id stays the same while the same
// revision is repeated, so that a receiver which keeps the ids that it has seen can drop what it has had.
package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"flowbridge/notifiers"
	"flowbridge/router"
)

// Kind is the kind of notifiers that this package tells.
const Kind = router.KindWebhook

// Config is what a Notifier may be told. A zero field takes its default.
type Config struct {
	// SecretsNow returns the secrets that the rules have now for an address. A message is signed with each of them, beside
	// the one that is pinned to its incident, so that a secret can be replaced while incidents are open. Default: none.
	SecretsNow func(url string) []router.Secret
	// Timeout bounds one call. Default: 15 s, the least that Standard Webhooks asks a sender to wait.
	Timeout time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Notifier tells receivers of webhooks. Its methods may be called from several goroutines.
type Notifier struct {
	cfg  Config
	http *http.Client
}

// New returns a Notifier. It calls nobody.
func New(cfg Config) *Notifier {
	cfg.Timeout = cmp.Or(cfg.Timeout, 15*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.SecretsNow == nil {
		cfg.SecretsNow = func(string) []router.Secret { return nil }
	}
	return &Notifier{cfg: cfg, http: &http.Client{
		Transport: notifiers.Recorded{RoundTripper: notifiers.NewTransport(), Private: true},
		// whoever it names is not who was named
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// own is what only this kind reads of a receipt.
type own struct {
	Said string `json:"said,omitempty"` // type of the message that was taken last
	Sum  string `json:"sum,omitempty"`  // of what it said
}

// Sync posts how things stand. What is as it was said last is not said again.
func (w *Notifier) Sync(ctx context.Context, n router.Notification) (router.Receipt, error) {
	if n.Notice == nil && n.Incident == nil {
		return n.Receipt, fmt.Errorf("delivery %d: neither an incident nor a notice", n.Delivery)
	}
	if n.Notice != nil && n.Notice.Recovery != "" { // of what nobody knows: there is nothing to tell
		return n.Receipt, nil
	}
	var last own
	if err := n.Receipt.Own.Get(&last); err != nil {
		return n.Receipt, err
	}
	m := newMessage(&n, last)
	body, sum, err := m.encode()
	if err != nil {
		return n.Receipt, err
	}
	if news := m.Type != last.Said && m.Type != incidentUpdated; !news && sum == last.Sum && !unclear(&n) {
		return kept(&n, last), nil
	}
	may, err := w.post(ctx, &n, body)
	if err != nil {
		r := n.Receipt
		r.Unsure = r.Unsure || may
		return r, err
	}
	return kept(&n, own{Said: m.Type, Sum: sum}), nil
}

// kept is the receipt of what the receiver has.
func kept(n *router.Notification, said own) router.Receipt {
	r := router.Receipt{Told: 1, Severity: n.Severity}
	if n.Incident != nil {
		r.Told, r.Open, r.Opening = max(n.Incident.Entries, 1), n.Open, n.Opening
		r.Acknowledged = n.Incident.State == router.IncidentAcknowledged
	}
	r.Own, _ = router.PutOwn(said) // it is two texts
	return r
}

// unclear says whether an earlier attempt may have said more than the receipt knows.
func unclear(n *router.Notification) bool {
	return n.Receipt.Unsure || n.MayExist && n.Attempt > 1
}

const (
	// maxAnswer bounds what is read of an answer, in bytes. Nothing in it matters; a connection whose answer was read is
	// used again.
	maxAnswer = 16 << 10
	// drainFor is how long the rest of an answer is waited for, which may never end.
	drainFor = 500 * time.Millisecond
	// leastSecret is how long the path of an address is, in bytes, if it is taken for a secret.
	leastSecret = 16
	// busyWait is how long a 429 without Retry-After is waited out.
	busyWait = time.Minute
	// patience is how long an answer is not taken for final that says no in no known form. It may come from something on
	// the way, or from a receiver that is being mended.
	patience = 3 * time.Hour

	urlHint  = "check the url in the rules, and what stands before the receiver"
	goneHint = "the receiver wants no more messages: remove the notifier, correct its url, or let the receiver take " +
		"them again, and retry this delivery"
)

// post makes one call. may says whether the receiver has the message, or may have it.
func (w *Notifier) post(ctx context.Context, n *router.Notification, body []byte) (may bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.Target.Address, bytes.NewReader(body))
	if err != nil {
		// without it: it may hold a secret
		return false, &notifiers.Refused{Service: n.Target.Kind.Label(), Said: "its url is none", Hint: urlHint}
	}
	id, at := messageID(n), strconv.FormatInt(w.cfg.Now().Unix(), 10)
	signatures := w.sign(n, id, at, body)
	if signatures == "" {
		return false, &notifiers.Refused{Service: n.Target.Kind.Label(), Said: "there is no secret to sign with",
			Hint: "correct secret in the rules, and retry this delivery"}
	}
	exchange := router.ExchangeOf(ctx)
	exchange.Hide(router.Secret(n.Target.Address), router.Secret(signatures))
	if path := req.URL.RequestURI(); len(path) >= leastSecret { // a shorter one may stand in any text
		exchange.Hide(router.Secret(path))
	}
	for _, secret := range w.secrets(n) {
		exchange.Hide(secret, router.Secret(strings.TrimPrefix(secret.Reveal(), "whsec_")))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "flowbridge")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", at)
	req.Header.Set("webhook-signature", signatures)
	resp, err := w.http.Do(req)
	if err != nil {
		return !notifiers.NeverSent(err), w.unanswered(n, err)
	}
	defer resp.Body.Close()
	// It was answered, whatever becomes of the rest.
	end := time.AfterFunc(drainFor, cancel)
	defer end.Stop()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	return w.judge(n, resp)
}

// judge says what an answer means. Source: Standard Webhooks 1.0.0, delivery success and failure.
func (w *Notifier) judge(n *router.Notification, resp *http.Response) (may bool, err error) {
	said := strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode)))
	switch s := resp.StatusCode; {
	case s/100 == 2:
		return true, nil
	case s == http.StatusGone:
		return false, &notifiers.Refused{Service: n.Target.Kind.Label(), Said: said, Hint: goneHint}
	case s == http.StatusTooManyRequests, s == http.StatusRequestTimeout, s/100 == 5:
		err = errors.New(n.Target.Kind.Label() + " answered " + said)
		wait, named := notifiers.RetryAfter(resp.Header, w.cfg.Now())
		if !named && s == http.StatusTooManyRequests {
			wait, named = busyWait, true
		}
		if named {
			err = &notifiers.Later{Err: err, At: w.cfg.Now().Add(wait)}
		}
		return s != http.StatusTooManyRequests, err
	case !n.FailingSince.IsZero() && w.cfg.Now().Sub(n.FailingSince) >= patience:
		return false, &notifiers.Refused{Service: n.Target.Kind.Label(), Said: said + " for " +
			router.FormatDuration(patience), Hint: urlHint}
	case s/100 == 3:
		return false, fmt.Errorf("%s answered %s, and redirects are not followed: %s", n.Target.Kind.Label(), said, urlHint)
	}
	return false, fmt.Errorf("%s answered %s: %s", n.Target.Kind.Label(), said, urlHint)
}

// unanswered puts a fault of the network in words, without the address: it may hold a secret.
func (w *Notifier) unanswered(n *router.Notification, err error) error {
	text := notifiers.Unanswered(err)
	for _, secret := range append(w.secrets(n), router.Secret(n.Target.Address)) {
		text = strings.ReplaceAll(text, secret.Reveal(), secret.String())
	}
	return fmt.Errorf("%s did not answer: %s", n.Target.Kind.Label(), text)
}

// secrets are what a message is signed with: the pinned one first.
func (w *Notifier) secrets(n *router.Notification) (all []router.Secret) {
	for _, secret := range append([]router.Secret{n.Target.Credential}, w.cfg.SecretsNow(n.Target.Address)...) {
		if secret != "" && !slices.Contains(all, secret) {
			all = append(all, secret)
		}
	}
	return all
}

// sign returns the signatures of a message, with a space between them; "" where there is no secret. Source: Standard
// Webhooks 1.0.0, signature scheme.
func (w *Notifier) sign(n *router.Notification, id, at string, body []byte) string {
	var all []string
	for _, secret := range w.secrets(n) {
		encoded, _ := strings.CutPrefix(secret.Reveal(), "whsec_")
		key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
		if err != nil || len(key) == 0 {
			continue
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + at + "."))
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}

// messageID names a message. It is the same for every attempt at one revision of a delivery; the time tells two
// databases apart that count from one both.
func messageID(n *router.Notification) string {
	began := time.Time{}
	if n.Incident != nil {
		began = n.Incident.OpenedAt
	} else {
		began = n.Notice.At
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%d\n%d\n%s", n.Target.ID(), n.Delivery, n.Revision, began.UnixMicro(),
		n.Key))
	return "msg_" + hex.EncodeToString(sum[:16])
}
