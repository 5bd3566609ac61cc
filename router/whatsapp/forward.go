package whatsapp

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// forwardedHeader marks what a bridge has passed on. Nothing that carries it is passed on again.
const forwardedHeader = "X-Flowbridge-Forwarded"

// passedOn are the headers that go with a body: all that the receiver needs to verify Meta's signature by itself.
var passedOn = []string{"Content-Type", "User-Agent", "X-Hub-Signature", signatureHeader}

const (
	// forwardTimeout bounds how long the other receiver may take. Meta has given up by then; the bridge waits
	// longer than that for posts at hand when it stops.
	forwardTimeout = 8 * time.Second
	// forwardAtOnce bounds the posts that wait for the other receiver, and so the connections to it: a receiver that
	// hangs leaves memory and file descriptors for the journal.
	forwardAtOnce = 128
	// maxReceiverBody is how much is read of what the receiver says: a connection is used again if that was all.
	maxReceiverBody = 64 << 10
	// maxReceiverHeader bounds the header of what it says, in bytes.
	maxReceiverHeader = 64 << 10
)

// forwarder passes verified posts on to the receiver that had the callback URL before.
type forwarder struct {
	url     string
	host    string // for the log: the rest of the URL may be a secret
	timeout time.Duration
	slots   chan struct{}
	http    http.RoundTripper // follows no redirect

	results map[relayResult]prometheus.Counter
	took    prometheus.Histogram
}

// relayResult is how passing a post on ended.
type relayResult string

const (
	relayAccepted    relayResult = "accepted"    // the receiver answered 2xx
	relayRefused     relayResult = "refused"     // it answered something else
	relayRedirected  relayResult = "redirected"  // it answered 3xx
	relayTimedOut    relayResult = "timed_out"   // it did not answer in time
	relayUnreachable relayResult = "unreachable" // there was no answer
	relayFull        relayResult = "full"        // too many posts wait for it
	relayLoop        relayResult = "loop"        // the post has been passed on before
	relayBroken      relayResult = "broken"      // Meta went away meanwhile
)

// relayed is what Meta is told of the receiver.
type relayed struct {
	result     relayResult
	status     int
	retryAfter string
	why        error // for the log
}

// ForwardURL reads the address of a receiver to pass posts on to. Its errors do not quote it: it may hold a secret.
func ForwardURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("--forward: no http or https address: give the callback URL that the app had before")
	case u.User != nil:
		return nil, errors.New(
			"--forward: leave user and password out of the address: Meta sends none, its signature is the proof")
	}
	return u, nil
}

// newForwarder returns nil where nothing is passed on.
func newForwarder(cfg *Config) (*forwarder, error) {
	if cfg.Forward == "" {
		return nil, nil
	}
	u, err := ForwardURL(cfg.Forward)
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = maxReceiverHeader
	transport.DisableCompression = true // it would add a header, and nobody reads the answer
	transport.MaxIdleConnsPerHost = forwardAtOnce
	f := &forwarder{
		url: u.String(), host: u.Host, timeout: cmp.Or(cfg.ForwardTimeout, forwardTimeout),
		slots: make(chan struct{}, cmp.Or(cfg.ForwardAtOnce, forwardAtOnce)), http: transport,
		results: map[relayResult]prometheus.Counter{},
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "flowbridge_forward_seconds", Help: "Time that the receiver behind --forward took to answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}),
	}
	results := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "flowbridge_forwarded_total", Help: "Posts for the receiver behind --forward, by how that ended."},
		[]string{"result"})
	for _, r := range []relayResult{relayAccepted, relayRefused, relayRedirected, relayTimedOut, relayUnreachable,
		relayFull, relayLoop, relayBroken} {
		f.results[r] = results.WithLabelValues(string(r))
	}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(results, f.took)
	}
	return f, nil
}

// start passes a post on while the caller stores it. The channel yields exactly once. body must not be changed
// ever after: a connection that is given up may go on reading it.
func (f *forwarder) start(r *http.Request, body []byte) <-chan relayed {
	answer := make(chan relayed, 1)
	if len(r.Header.Values(forwardedHeader)) > 0 {
		answer <- relayed{result: relayLoop, status: http.StatusLoopDetected, why: errors.New("it was passed on before")}
		return answer
	}
	select {
	case f.slots <- struct{}{}:
	default:
		answer <- relayed{result: relayFull, status: http.StatusServiceUnavailable, retryAfter: "1",
			why: fmt.Errorf("%d posts wait for it", cap(f.slots))}
		return answer
	}
	go func() {
		defer func() { <-f.slots }()
		started := time.Now()
		out := f.send(r, body)
		f.took.Observe(time.Since(started).Seconds())
		answer <- out
	}()
	return answer
}

func (f *forwarder) send(r *http.Request, body []byte) relayed {
	ctx, cancel := context.WithTimeout(r.Context(), f.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url, bytes.NewReader(body))
	if err != nil {
		return relayed{result: relayUnreachable, status: http.StatusBadGateway, why: err}
	}
	req.GetBody = nil                // each post is sent once: it is Meta that repeats
	req.Header.Set("User-Agent", "") // not the one of the library
	for _, name := range passedOn {
		if values := r.Header.Values(name); len(values) > 0 {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	req.Header.Set(forwardedHeader, "1")
	resp, err := f.http.RoundTrip(req)
	switch {
	case err == nil:
		defer resp.Body.Close()
		_, _ = io.CopyN(io.Discard, resp.Body, maxReceiverBody)
		return f.judge(resp)
	case r.Context().Err() != nil:
		return relayed{result: relayBroken, status: http.StatusServiceUnavailable, why: r.Context().Err()}
	case ctx.Err() != nil:
		return relayed{result: relayTimedOut, status: http.StatusGatewayTimeout,
			why: fmt.Errorf("no answer within %s", f.timeout)}
	}
	return relayed{result: relayUnreachable, status: http.StatusBadGateway, why: err}
}

func (f *forwarder) judge(resp *http.Response) relayed {
	out := relayed{result: relayRefused, status: resp.StatusCode, why: fmt.Errorf("it answered %d", resp.StatusCode)}
	switch resp.StatusCode / 100 {
	case 2:
		out.result, out.why = relayAccepted, nil
	case 3: // a POST that is redirected comes back as a GET, and who is named there was never meant to read it
		out.result, out.status, out.why = relayRedirected, http.StatusBadGateway,
			fmt.Errorf("it answered %d, a redirect, which is not followed: give --forward the address it leads to",
				resp.StatusCode)
	case 0, 1: // no answer to a POST, and none that could be given to Meta
		out.result, out.status = relayUnreachable, http.StatusBadGateway
	}
	if text := resp.Header.Get("Retry-After"); len(text) <= 40 {
		out.retryAfter = text
	}
	return out
}

// relay tells Meta what the receiver answered: whatever is not 200 is repeated to us both. Our part is stored
// by now, and a repeat of it is dropped.
func (h *Handler) relay(w http.ResponseWriter, out relayed) result {
	if out.result == relayAccepted {
		w.WriteHeader(out.status)
		return accepted
	}
	if out.retryAfter != "" {
		w.Header().Set("Retry-After", out.retryAfter)
	}
	http.Error(w, "stored here; the receiver behind did not accept it", out.status)
	if out.result == relayBroken {
		return broken
	}
	if h.notForwarded.Allow(h.cfg.Now()) {
		const hint = "a post was not accepted by the receiver behind --forward; Meta will repeat it"
		if out.result == relayLoop {
			h.cfg.Logger.Error(
				"--forward leads back to this bridge: give it the address of the receiver that had the callback URL before", "host",
				h.forward.host)
		} else {
			h.cfg.Logger.Warn(hint, "host", h.forward.host, "result", out.result, "error", out.why)
		}
	}
	return notForwarded
}
