package slack

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"flowbridge/notifiers"
)

// newClient returns an HTTP client that follows no redirect (a POST would come back as a GET) and reads no
// endless answer.
func newClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		Transport:     bounded{notifiers.Recorded{RoundTripper: notifiers.NewTransport(), Withheld: holdsWords}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// holdsWords says of a call that its answer may hold what people wrote or who they are: all but those of what we told.
func holdsWords(req *http.Request) bool { return !strings.Contains(req.URL.Path, "/chat.") }

// apiClient is newClient for the Web API.
func apiClient(timeout time.Duration, now func() time.Time) *http.Client {
	client := newClient(timeout)
	client.Transport = inForm{client.Transport, now}
	return client
}

// bounded cuts answers at maxBody: what follows makes them unreadable.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxBody), resp.Body}
	}
	return resp, err
}

// inForm lets through what is in the form of Slack's Web API, which is a status of 200 and {"ok": true} or {"ok":
// false, "error": "..."}, and makes errors of the rest: a busyError of a 429, a foreignError of all others. What stands
// between us and Slack answers as well, and its word is not Slack's: nothing may be refused by it, nor taken as not
// there.
type inForm struct {
	http.RoundTripper
	now func() time.Time
}

func (t inForm) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return nil, busyError{retryAfter(resp.Header.Get("Retry-After"), t.now())}
	case resp.StatusCode == http.StatusOK && err != nil:
		return nil, err
	case resp.StatusCode != http.StatusOK || !isAnswer(body):
		return nil, foreignError{resp.StatusCode}
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// isAnswer says whether a body is an answer of Slack's Web API.
func isAnswer(body []byte) bool {
	var form struct {
		OK    *bool
		Error string
	}
	return json.Unmarshal(body, &form) == nil && form.OK != nil && (*form.OK || form.Error != "")
}

// foreignError is an answer that is not in Slack's form. It says nothing about what was asked for.
type foreignError struct{ status int }

func (e foreignError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", e.status, http.StatusText(e.status)))
}

// busyError is a 429.
type busyError struct {
	after time.Duration // at most longestWait; 0 where the answer names no time
}

func (e busyError) Error() string { return "too many calls" }

// retryAfter reads the header: seconds, or a date. A wait that is over, or that nobody can read, is none.
func retryAfter(header string, now time.Time) time.Duration {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(header), 64)
	if err != nil {
		at, err := http.ParseTime(header)
		if err != nil {
			return 0
		}
		seconds = at.Sub(now).Seconds()
	}
	if cmp.Compare(seconds, 0) <= 0 { // NaN among them
		return 0
	}
	return time.Duration(min(seconds, longestWait.Seconds()) * float64(time.Second))
}
