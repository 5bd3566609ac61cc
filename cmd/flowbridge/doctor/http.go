package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"flowbridge/notifiers"
)

// reply is an answer to the doctor.
type reply = notifiers.Reply

// Ask makes one call. The error is in words that hold no address and no secret: a URL can hold both.
func (d *Doctor) Ask(ctx context.Context, method, address string, header http.Header, form url.Values) (*reply, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, errors.New("the address is no URL")
	}
	req.Header.Set("User-Agent", "flowbridge/"+d.cfg.Version)
	for key, values := range header {
		req.Header[key] = values
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	sent := d.cfg.Now()
	resp, err := d.http.Do(req)
	if err != nil {
		return nil, d.unanswered(err)
	}
	defer resp.Body.Close()
	// that may be this very machine, and its clock
	if d.cfg.WebhookURL == "" || !strings.HasPrefix(address, d.cfg.WebhookURL+"/") {
		d.skews.add(req.URL.Host, resp.Header.Get("Date"), sent, d.cfg.Now())
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxDoctorAnswer))
	if err != nil {
		return nil, d.unanswered(err)
	}
	return &reply{Status: resp.StatusCode, Header: resp.Header, Body: data, TLS: resp.TLS}, nil
}

// unanswered says why there was no answer.
func (d *Doctor) unanswered(err error) error {
	untrusted, isTLS := errors.AsType[*tls.CertificateVerificationError](err)
	fault, onTheWire := errors.AsType[*url.Error](err)
	switch {
	case isTLS:
		return fmt.Errorf("its certificate does not verify (%w)", untrusted.Err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), onTheWire && fault.Timeout():
		return fmt.Errorf("it did not answer within %s", d.cfg.Timeout)
	case errors.Is(err, context.Canceled):
		return errors.New("the check was cut short")
	case onTheWire:
		return fmt.Errorf("it cannot be reached (%w)", fault.Err)
	}
	return fmt.Errorf("the connection broke (%w)", err)
}

// skews are how far clocks of services are from ours, by host.
type skews struct {
	mu    sync.Mutex
	hosts []string
	by    []time.Duration // above 0 where ours is ahead
}

// add compares a Date header with our clock before and after the call. A Date has whole seconds and a call takes its
// time: what either can explain is no difference.
func (s *skews) add(host, date string, sent, received time.Time) {
	theirs, err := http.ParseTime(date)
	if err != nil {
		return
	}
	var ahead time.Duration
	switch {
	case sent.After(theirs.Add(time.Second)):
		ahead = sent.Sub(theirs.Add(time.Second))
	case received.Before(theirs):
		ahead = received.Sub(theirs)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts, s.by = append(s.hosts, host), append(s.by, ahead)
}

const (
	maxSkew = 2 * time.Second
	// deadSkew is from when Slack's and our signatures are refused as too old.
	deadSkew = 5 * time.Minute
)

// checkClock judges by the answer that fits best: a cache in between can make a Date old, and nothing makes it right by
// chance.
func (d *Doctor) checkClock() diagnosis {
	const name = "clock"
	const do = "let the machine keep time (NTP): Slack's requests are refused when they seem five minutes old, and " +
		"timelines mix clocks"
	s := &d.skews
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.by) == 0 {
		return warn(name, "not compared: no service answered", "see the checks above")
	}
	best := 0
	for i := range s.by {
		if s.by[i].Abs() < s.by[best].Abs() {
			best = i
		}
	}
	skew, host := s.by[best], s.hosts[best]
	way := "ahead of"
	if skew < 0 {
		way = "behind"
	}
	seen := fmt.Sprintf("%s %s that of %s", skew.Abs().Round(100*time.Millisecond), way, host)
	switch {
	case skew.Abs() >= deadSkew:
		return fail(name, seen, do)
	case skew.Abs() > maxSkew:
		return warn(name, seen, do)
	}
	return fine(name, "within %s of that of %s", maxSkew, host)
}
