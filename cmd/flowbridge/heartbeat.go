package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// heartbeatTimeout bounds one call.
const heartbeatTimeout = 10 * time.Second

// heartbeat calls a URL while everything gets on, so that somebody else notices when the bridge does not. The URL may
// hold a secret: nothing of it is logged.
type heartbeat struct {
	url     string
	every   time.Duration
	logger  *slog.Logger
	client  *http.Client
	failing bool
}

func newHeartbeat(url string, every time.Duration, logger *slog.Logger) *heartbeat {
	return &heartbeat{url: url, every: every, logger: logger, client: newHTTPClient(heartbeatTimeout)}
}

// checkHeartbeat checks the address without repeating it.
func checkHeartbeat(text string) error {
	if text == "" {
		return nil
	}
	if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("--heartbeat: no http or https address: give the URL that the dead man's switch shows")
	}
	return nil
}

// run calls until ctx ends. unready says what keeps the bridge from its work: while it says something, nobody is
// called.
func (h *heartbeat) run(ctx context.Context, unready func(context.Context) string) {
	if h == nil {
		return
	}
	defer h.client.CloseIdleConnections()
	tick := time.NewTicker(h.every)
	defer tick.Stop()
	for {
		if unready(ctx) == "" {
			h.beat(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (h *heartbeat) beat(ctx context.Context) {
	err := h.call(ctx)
	if ctx.Err() != nil {
		return
	}
	if err != nil && !h.failing {
		h.logger.Warn("the heartbeat could not be told; trying again", "error", err)
	}
	if err == nil && h.failing {
		h.logger.Info("the heartbeat is told again")
	}
	h.failing = err != nil
}

// call is one GET. Its errors do not name the address.
func (h *heartbeat) call(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url, nil)
	if err != nil {
		return errors.New("the address cannot be read")
	}
	req.Header.Set("User-Agent", "flowbridge/"+version())
	resp, err := h.client.Do(req)
	if err != nil {
		if fault, ok := errors.AsType[*url.Error](err); ok && fault.Timeout() {
			return errors.New("no answer in time")
		}
		return errors.New("it cannot be reached")
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return nil
}
