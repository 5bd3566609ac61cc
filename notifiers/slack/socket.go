package slack

import (
	"context"
	"errors"
	"io"
	"log"
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
	socketAtOnce  = 16               // requests at a time; Slack sends the others again
	ackIn         = 500 * time.Millisecond
)

// runSocket keeps a connection in Socket Mode until ctx ends. Whatever ends one, the next is tried: at once if it had
// lasted, else after a wait that doubles.
func (r *Receiver) runSocket(ctx context.Context) {
	wait := time.Duration(0)
	for {
		began := time.Now()
		err := r.connect(ctx)
		if ctx.Err() != nil {
			return
		}
		wait = min(max(2*wait, r.socketFirst), socketSlowest)
		if time.Since(began) >= socketLasted {
			wait = 0
		}
		r.cfg.Logger.Warn("the connection to Slack ended; connecting again", "error", err, "in", wait)
		if !router.Sleep(ctx, wait) {
			return
		}
	}
}

// connect runs one connection and what comes through it, and returns why it ended. Nothing of it is left behind.
func (r *Receiver) connect(ctx context.Context) (why error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	client := socketmode.New(r.api, socketmode.OptionReadLimit(maxRequest), socketmode.OptionLog(log.New(io.Discard, "", 0)))
	ended := make(chan error, 1)
	go func() { ended <- client.RunContext(ctx) }()
	var work sync.WaitGroup
	defer work.Wait()
	defer r.online.Set(0)
	slots := make(chan struct{}, socketAtOnce)
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
				case slots <- struct{}{}:
					work.Go(func() {
						defer func() { <-slots }()
						r.envelope(ctx, client, e)
					})
				default:
					r.seen.WithLabelValues("socket", "busy").Inc()
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

// envelope does what a message through the socket asks for, and then acknowledges it: what is not acknowledged Slack
// sends again.
func (r *Receiver) envelope(ctx context.Context, client *socketmode.Client, e socketmode.Event) {
	if e.Request == nil || e.Request.EnvelopeID == "" {
		return
	}
	// An act goes on when the connection ends under it, ours too: else nobody knew whether it was written down.
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.answerIn)
	defer cancel()
	var payload any
	switch data := e.Data.(type) {
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
	}
	acking, cancelAck := context.WithTimeout(ctx, ackIn)
	defer cancelAck()
	if err := client.AckCtx(acking, e.Request.EnvelopeID, payload); err != nil && ctx.Err() == nil {
		r.cfg.Logger.Warn("a request of Slack's could not be acknowledged; it will come again", "error", err)
	}
}

func (r *Receiver) foreign(kind, team string) {
	r.seen.WithLabelValues(kind, "refused").Inc()
	r.cfg.Logger.Warn("a request to act from Slack was refused", "kind", kind, "reason", "it is of another workspace", "team", team)
}
