package slack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// hooks writes to the addresses that requests name for answers that come later.
type hooks struct {
	client *http.Client
	api    *url.URL // of the Web API
}

const (
	hookTimeout = 5 * time.Second
	hookTries   = 2
	hookText    = 3000 // characters of what a person is told
)

// send tells the person who acted, and nobody else. Errors hold no address: who has it can write to the channel.
func (h *hooks) send(ctx context.Context, address, text string) error {
	u, err := url.Parse(address)
	if err != nil || !h.slacks(u) {
		return errors.New("the request names no address of Slack's to answer to")
	}
	ctx, cancel := context.WithTimeout(ctx, hookTimeout)
	defer cancel()
	for try := 1; ; try++ {
		again, err := h.post(ctx, u, ephemeral(text))
		if err == nil || !again || try == hookTries {
			return err
		}
	}
}

func (h *hooks) post(ctx context.Context, u *url.URL, body []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return false, errors.New("the request names no address that can be called")
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := h.client.Do(req)
	if err != nil {
		return true, errors.New(read("response_url", err).said())
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection is used again
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode >= http.StatusInternalServerError, fmt.Errorf("the answer of Slack is HTTP %d",
			resp.StatusCode)
	}
	return false, nil
}

// slacks says whether an address is Slack's: it came in a request, and nothing else may be called on its word. Slack's
// own are of hooks.slack.com; that of GovSlack goes by the API. The API's own host is for stand-ins.
func (h *hooks) slacks(u *url.URL) bool {
	if u.User != nil {
		return false
	}
	if u.Scheme == "https" && (u.Host == "hooks.slack.com" || u.Host == "hooks."+h.api.Host) {
		return true
	}
	return u.Scheme == h.api.Scheme && u.Host == h.api.Host
}

// ephemeral is a message that only the person who acted sees, and that leaves the card alone.
func ephemeral(text string) []byte {
	body, err := json.Marshal(map[string]any{"response_type": "ephemeral", "replace_original": false, "text": text})
	if err != nil {
		return nil // a map of strings always marshals
	}
	return body
}
