package slack

import (
	"context"
	"errors"
	"io"
	"log"
	"slices"
	"sync"
	"time"

	"github.com/slack-go/slack"
	"github.com/slack-go/slack/socketmode"

	"flowbridge/router"
)

// Bounds of Socket Mode.
const (
	socketFirst   = time.Second // between two connections that did not last
	socketSlowest = time.Minute
	socketLasted  = 30 * time.Second // a connection that lasted as long was a good one
	socketAtOnce  = 16               // requests that are worked at a time
	socketQueue   = 512              // and that wait: Slack does not send again what nobody acknowledged
	ackIn         = 500 * time.Millisecond
	ackedTooLate  = 3 * time.Second // by then Slack has told the person that we failed
)

// envelope is a request that came through a connection.
type envelope struct {
	client *socketmode.Client
	over   <-chan struct{} // closed when the connection is
	event  socketmode.Event
	at     time.Time // when it came
}

// runSocket keeps a connection in Socket Mode until ctx ends, and works what comes through it. Whatever ends one, the
// next is tried: at once if it had lasted, else after a wait that doubles.
func (r *Receiver) runSocket(ctx context.Context) {
	// What came is worked even if its connection ends, or we do: else nobody knew whether it was written down. A stop
	// waits no longer for all of it than for one.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(r.answerIn, cancel) })()
	var workers sync.WaitGroup
	for range socketAtOnce {
		workers.Go(func() {
			for e := range r.requests {
				if work.Err() != nil { // we stop, and whoever pressed sees in Slack that it failed
					r.seen.WithLabelValues("socket", "stopped").Inc()
					continue
				}
				r.envelope(work, e)
			}
		})
	}
	defer workers.Wait()
	defer close(r.requests)
	wait := time.Duration(0)
	for {
		began := time.Now()
		err := r.connectWithToken(ctx)
		if ctx.Err() != nil {
			return
		}
		wait = min(max(2*wait, r.socketFirst), socketSlowest)
		if time.Since(began) >= socketLasted {
			wait = 0
		}
		r.cfg.Logger.Warn("the connection to Slack ended; connecting again", "error", err, "in", wait.String())
		if !router.Sleep(ctx, wait) {
			return
		}
	}
}

// connect runs one connection, puts what comes through it where it is worked, and returns why it ended.
func (r *Receiver) connect(ctx context.Context) (why error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := socketmode.New(r.clients.now(), socketmode.OptionDialer(socketDialer()),
		socketmode.OptionReadLimit(maxRequest),
		socketmode.OptionLog(log.New(io.Discard, "", 0)))
	ended := make(chan error, 1)
	go func() { ended <- client.RunContext(ctx) }()
	defer r.online.Set(0)
	for {
		select {
		case err := <-ended:
			return socketError(why, err)
		case e := <-client.Events:
			switch e.Type {
			case socketmode.EventTypeConnecting:
				if try, ok := e.Data.(*slack.ConnectingEvent); ok && (try.ConnectionCount > 0 || try.Attempt > 1) {
					cancel() // the library would try again at once, and forever: the pace is ours
				}
			case socketmode.EventTypeConnectionError:
				if fault, ok := e.Data.(*slack.ConnectionErrorEvent); ok {
					why = read("apps.connections.open", fault.ErrorObj)
				}
				cancel()
			case socketmode.EventTypeHello:
				r.online.Set(1)
				r.cfg.Logger.Info("connected to Slack in Socket Mode")
			case socketmode.EventTypeInteractive, socketmode.EventTypeSlashCommand, socketmode.EventTypeEventsAPI:
				select {
				case r.requests <- envelope{client, ctx.Done(), e, time.Now()}:
				default:
					r.tooMuch(e)
				}
			}
		}
	}
}

// socketError says why a connection ended in words that hold no ticket.
func socketError(why, err error) error {
	switch {
	case why != nil:
		return why
	case err == nil || errors.Is(err, context.Canceled):
		return errors.New("closed by Slack")
	}
	return read("apps.connections.open", err)
}

// tooMuch tells a person that nothing was done since too much waits. It is not acknowledged: Slack shows that as well.
func (r *Receiver) tooMuch(e socketmode.Event) {
	r.seen.WithLabelValues("socket", "busy").Inc()
	address := ""
	switch data := e.Data.(type) {
	case slack.InteractionCallback:
		if slices.ContainsFunc(data.ActionCallback.BlockActions, pressable) {
			address = data.ResponseURL
		}
	case slack.SlashCommand:
		address = data.ResponseURL
	}
	if address == "" { // a link, or nothing that anybody waits for
		return
	}
	if r.strange.Allow(r.cfg.Now()) {
		r.cfg.Logger.Warn("too much comes in from people in Slack at a time; some of them are told to try again")
	}
	r.tell(address, "Too much comes in from Slack just now. Nothing was done: try again in a minute.")
}

// pressable says whether what was pressed asks for an act.
func pressable(a *slack.BlockAction) bool {
	_, ok := readPress(a)
	return ok
}

// envelope does what a request asks for, and then acknowledges it: what is not acknowledged Slack shows as failed.
func (r *Receiver) envelope(ctx context.Context, e envelope) {
	if e.event.Request == nil || e.event.Request.EnvelopeID == "" {
		return
	}
	within, cancel := context.WithTimeout(ctx, r.answerIn)
	defer cancel()
	var payload any
	switch data := e.event.Data.(type) {
	case slack.InteractionCallback:
		if !r.pressed(within, &data) {
			r.foreign("action", data.Team.ID)
		}
	case slack.SlashCommand:
		said, ours := r.commanded(within, &data)
		if !ours {
			r.foreign("command", data.TeamID)
			said = "This app belongs to another workspace."
		}
		payload = map[string]any{"response_type": "ephemeral", "text": said}
		if time.Since(e.at) >= ackedTooLate {
			r.tell(data.ResponseURL, said)
		}
	}
	select {
	case <-e.over:
		return
	default:
	}
	acking, cancelAck := context.WithTimeout(ctx, ackIn)
	defer cancelAck()
	if err := e.client.AckCtx(acking, e.event.Request.EnvelopeID, payload); err != nil && ctx.Err() == nil {
		r.cfg.Logger.Warn("a request of Slack's was worked and could not be acknowledged: Slack calls it failed",
			"error", err)
	}
}

func (r *Receiver) foreign(kind, team string) {
	r.seen.WithLabelValues(kind, "refused").Inc()
	r.cfg.Logger.Warn("a request to act from Slack was refused", "kind", kind, "reason", "it is of another workspace",
		"team", team)
}
