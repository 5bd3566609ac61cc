package slack

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
)

// socketDesk is a desk that Slack reaches through a web socket only.
func socketDesk(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t, func(_ *sandbox.SlackConfig, cfg *ReceiverConfig) { cfg.SigningSecret, cfg.AppToken = "", appToken })
	d.connected(1)
	return d
}

// connected waits until the receiver holds so many connections.
func (d *desk) connected(n int) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Minute)
	defer cancel()
	if err := d.slack.Wait(ctx, func() bool { return d.slack.Sockets() == n }); err != nil {
		d.t.Fatalf("%d connections, want %d\n%s", d.slack.Sockets(), n, &d.log)
	}
}

func TestTheSocketCarriesPressesAndCommands(t *testing.T) {
	t.Parallel()
	d := socketDesk(t)
	d.card(opened())
	sent := d.press(sandbox.Press{Action: "acknowledge", User: "U0SAM"})
	if sent.Status != http.StatusOK {
		t.Errorf("acknowledged with %+v", sent)
	}
	if again, err := d.slack.Repeat(t.Context(), sent); err != nil || again.Status != http.StatusOK {
		t.Errorf("the same again: %+v %v", again, err)
	}
	if got := d.ledger.stored(); len(got) != 1 || got[0].Act.Actor != "sam.lee" {
		t.Errorf("stored %+v, want one", got)
	}
	if got := d.write("resolve 42"); !strings.HasPrefix(got, "INC-42: resolved.") {
		t.Errorf("the command is answered with %q", got)
	}
	d.press(sandbox.Press{Action: "acknowledge", Team: "T0OTHER"})
	if got, err := d.slack.Write(t.Context(), sandbox.Command{Text: "ack 42", Team: "T0OTHER"}); err != nil ||
		got.Text() != "This app belongs to another workspace." {
		t.Errorf("%+v %v", got, err)
	}
	d.ledger.set(resolvedOne(), d.receipt)
	d.press(sandbox.Press{Action: "resolve"})
	if got := d.told(1).Text; !strings.Contains(got, "already resolved by Meta") {
		t.Errorf("told %q", got)
	}
	if got := d.ledger.stored(); len(got) != 2 {
		t.Errorf("stored %+v, want two", got)
	}
	d.stopped()
	d.connected(0)
}

func TestAConnectionThatEndsIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	d := socketDesk(t)
	d.card(opened())
	for _, politely := range []bool{true, false, true, false} {
		d.slack.DropSockets(politely)
		d.connected(1)
	}
	// The library may still be closing what it opened while the last one ended: Slack sends what nobody acknowledged
	// again.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var err error
	for {
		changed := d.slack.Changed()
		var sent sandbox.Sent
		sent, err = d.slack.Press(ctx, "#payments", ownOf(d.receipt).TS, sandbox.Press{Action: "acknowledge"})
		if err == nil && sent.Status == http.StatusOK || ctx.Err() != nil {
			break
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
	if got := d.ledger.stored(); err != nil || len(got) == 0 {
		t.Errorf("stored %+v, %v; want the act\n%s", got, err, &d.log)
	}
}

func TestWithAWrongTokenTheReceiverTriesAgainAndAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(there *sandbox.SlackConfig, cfg *ReceiverConfig) {
		cfg.AppToken, there.AppToken = "xapp-wrong", appToken
	})
	tries := func() (n int) {
		for _, call := range d.slack.Calls() {
			if call.Method == "apps.connections.open" && call.Error == "invalid_auth" {
				n++
			}
		}
		return n
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	began := time.Now()
	if err := d.slack.Wait(ctx, func() bool { return tries() >= 4 }); err != nil {
		t.Fatalf("%d tries\n%s", tries(), &d.log)
	}
	if took := time.Since(began); took < 50*time.Millisecond { // 10 + 20 + 40 ms, the waits of this test
		t.Errorf("four tries in %s: it does not wait longer and longer", took)
	}
	d.stopped()
	if !strings.Contains(d.log.String(), "invalid_auth") {
		t.Errorf("the log does not say why:\n%s", &d.log)
	}
}

func TestWithASlackThatIsDownTheReceiverWaits(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(_ *sandbox.SlackConfig, cfg *ReceiverConfig) { cfg.AppToken = appToken })
	d.connected(1)
	d.slack.Fail(sandbox.Fault{Method: "apps.connections.open", Status: http.StatusServiceUnavailable, Times: 2})
	d.slack.DropSockets(false)
	d.connected(1)
}

func TestAnActGoesOnWhenItsConnectionEnds(t *testing.T) {
	t.Parallel()
	d := socketDesk(t)
	d.card(opened())
	at, release := make(chan struct{}), make(chan struct{})
	d.ledger.looked = sync.OnceFunc(func() {
		close(at)
		<-release
	})
	pressed := make(chan error, 1)
	go func() {
		_, err := d.slack.Press(t.Context(), "#payments", ownOf(d.receipt).TS, sandbox.Press{Action: "acknowledge"})
		pressed <- err
	}()
	<-at
	d.slack.DropSockets(false)
	if err := <-pressed; err == nil { // Slack learns nothing, and will send it again
		t.Error("the act was acknowledged through a connection that was gone")
	}
	close(release)
	d.stopped()
	if got := d.ledger.stored(); len(got) != 1 {
		t.Errorf("stored %+v, want the act", got)
	}
}

// crowd lets so many people press at a time, while the storage answers nobody until ready says so. It returns once so
// many of them were acknowledged, with how many were in all.
func (d *desk) crowd(people, want int, ready func() bool) (acknowledged int) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 2*time.Minute)
	defer cancel()
	release := make(chan struct{})
	d.ledger.looked = sync.OnceFunc(func() { <-release }) // with the lock in hand: nobody else gets in
	ended := make(chan bool, people)
	for i := range people {
		go func() {
			sent, err := d.slack.Press(ctx, "#payments", ownOf(d.receipt).TS,
				sandbox.Press{Action: "acknowledge", User: fmt.Sprint("U0", i)})
			ended <- err == nil && sent.Status == http.StatusOK
		}()
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ready() && ctx.Err() == nil {
		<-tick.C
	}
	close(release)
	for range people {
		if <-ended {
			acknowledged++
		}
		if acknowledged == want {
			cancel() // of the others none is
		}
	}
	return acknowledged
}

// queueDesk is a desk in Socket Mode at which so many requests may wait.
func queueDesk(t *testing.T, queue int) *desk {
	d := newDeskWith(t, func(r *Receiver) {
		r.requests = make(chan envelope, queue)
		r.stopIn = time.Millisecond // nothing folds here: nobody hears what came of a press
	}, func(_ *sandbox.SlackConfig, cfg *ReceiverConfig) {
		cfg.SigningSecret, cfg.AppToken = "", appToken
	})
	d.connected(1)
	d.card(opened())
	return d
}

func TestManyMayPressAtATime(t *testing.T) {
	t.Parallel()
	const people = 4 * socketAtOnce
	d := queueDesk(t, socketQueue)
	if got := d.crowd(people, people,
		func() bool { return len(d.receiver.requests) == people-socketAtOnce }); got != people {
		t.Errorf("%d of %d presses were acknowledged\n%s", got, people, &d.log)
	}
	if got := len(d.ledger.stored()); got != people {
		t.Errorf("%d of %d acts were stored", got, people)
	}
}

func TestWhatIsTooMuchAtATimeIsSaid(t *testing.T) {
	t.Parallel()
	const queue, more = 4, 5
	d := queueDesk(t, queue)
	const taken = socketAtOnce + queue
	if got := d.crowd(taken+more, taken, func() bool { return len(d.slack.Told()) == more }); got != taken {
		t.Errorf("%d presses were acknowledged, want %d", got, taken)
	}
	if got := d.told(more); !strings.Contains(got.Text, "Nothing was done: try again") {
		t.Errorf("told %+v", got)
	}
	if got := len(d.ledger.stored()); got != taken {
		t.Errorf("%d acts were stored", got)
	}
}
