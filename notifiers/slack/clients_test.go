package slack

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// replaceable is a secret that a test replaces.
type replaceable struct{ atomic.Value }

func newReplaceable(first router.Secret) *replaceable {
	r := &replaceable{}
	r.Store(first)
	return r
}

func (r *replaceable) now() router.Secret { return r.Load().(router.Secret) }

func TestAnAppTokenThatIsReplacedIsConnectedWith(t *testing.T) {
	t.Parallel()
	held := newReplaceable(appToken)
	d := newDesk(t, func(_ *sandbox.SlackConfig, cfg *ReceiverConfig) {
		cfg.SigningSecret, cfg.AppToken, cfg.AppTokenNow = "", appToken, held.now
	})
	d.connected(1)
	d.card(opened())
	opens := func() (n int) {
		for _, call := range d.slack.Calls() {
			if call.Method == "apps.connections.open" && call.Error == "" {
				n++
			}
		}
		return n
	}
	d.slack.Rotate("", "xapp-new", "")
	held.Store(router.Secret("xapp-new"))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	// The new one only: what goes through the one that is about to end is lost.
	if err := d.slack.Wait(ctx, func() bool { return d.slack.SocketsEver() == 2 && d.slack.Sockets() == 1 }); err != nil {
		t.Fatalf("%d connections were made, want 2; %d are left\n%s", d.slack.SocketsEver(), d.slack.Sockets(), &d.log)
	}
	if n := opens(); n != 2 {
		t.Errorf("%d connections were asked for, want 2", n)
	}
	if sent := d.press(sandbox.Press{Action: "acknowledge", User: "U0SAM"}); sent.Status != http.StatusOK ||
		len(d.ledger.stored()) != 1 {
		t.Errorf("a press is answered with %+v, stored %+v", sent, d.ledger.stored())
	}
	d.stopped()
	sandbox.AssertNoSecret(t, []string{"xapp-new"}, d.log.String())
}

func TestABotTokenThatIsReplacedIsUsedWithTheNextSync(t *testing.T) {
	t.Parallel()
	held := newReplaceable(token)
	w := newWorld(t, func(_ *sandbox.SlackConfig, here *Config) { here.TokenNow = held.now })
	receipt := w.sync(opened())
	w.slack.Rotate("xoxb-new", "", "")
	held.Store(router.Secret("xoxb-new"))
	w.sync(after(receipt, 1, escalated()))
	if calls := w.slack.Calls(); calls[len(calls)-1].Error != "" {
		t.Errorf("the last call ended with %+v", calls[len(calls)-1])
	}
}

func TestNeitherTokenIsInAnError(t *testing.T) {
	t.Parallel()
	held := newReplaceable(token)
	w := newWorld(t, func(_ *sandbox.SlackConfig, here *Config) { here.TokenNow = held.now })
	w.sync(opened())
	held.Store(router.Secret("xoxb-new"))
	w.slack.Rotate("xoxb-new", "", "")
	w.slack.Fail(sandbox.Fault{Method: "chat.postMessage", Body: `{"ok":false,"error":"no ` + token +
		` and no xoxb-new"}`})
	n := opened()
	n.Delivery++
	_, err := w.notifier.Sync(t.Context(), n)
	if err == nil || !strings.Contains(err.Error(), "no •") {
		t.Fatalf("error %v", err)
	}
	sandbox.AssertNoSecret(t, []string{token, "xoxb-new"}, err.Error(), w.log.String())
}
