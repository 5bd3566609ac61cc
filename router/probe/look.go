package probe

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"flowbridge/router"
)

// result is how a probe ended, as metrics name it.
type result string

const (
	active      result = "active"      // it answered the ping as Meta's health check wants it
	reached     result = "reached"     // some HTTP answer, where no ping was sent
	undecrypted result = "undecrypted" // 421: it cannot decrypt
	unsigned    result = "unsigned"    // 432: it does not believe the signature
	odd         result = "odd"         // another answer to a ping
	redirected  result = "redirected"
	tlsFailed   result = "tls"
	timedOut    result = "timed_out"
	unreachable result = "unreachable" // no connection, or one that was closed without an answer
	refused     result = "refused"     // by us: a private address, or none of https
	failed      result = "failed"      // by us: no ping could be made
)

var results = []result{active, reached, undecrypted, unsigned, odd, redirected, tlsFailed, timedOut, unreachable,
	refused, failed}

// sight is what one probe saw.
type sight struct {
	result result
	good   bool          // the endpoint answered as it should, as far as this probe can know
	words  string        // what is wrong; "" for nothing
	status int           // of HTTP; 0 without an answer
	pinged bool          // the encrypted ping was sent, or was to be
	took   time.Duration // until all of the answer was here, from before the name was looked up
}

const (
	// answerTimeout bounds a probe. Meta gives an endpoint 10 s.
	answerTimeout = 10 * time.Second
	// maxBody and maxHeader bound an answer, in bytes. One to a ping has some hundred.
	maxBody, maxHeader = 64 << 10, 16 << 10
)

// looker makes probes. It may be used by several goroutines.
type looker struct {
	client  *http.Client
	timeout time.Duration
	agent   string
	key     func() *rsa.PublicKey    // returns nil where no ping can be made
	sign    func(body []byte) string // returns the header X-Hub-Signature-256
	since   func(time.Time) time.Duration
}

// newLooker returns one whose every probe is a connection of its own: no proxy, no redirect, nothing of before.
func newLooker(cfg *Config) *looker {
	transport := &http.Transport{
		DialContext:            newDialer(cfg.Private).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
	}
	return &looker{
		client: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		}},
		timeout: cfg.Timeout, agent: cfg.Agent, key: cfg.Key, sign: cfg.Sign, since: time.Since,
	}
}

// look probes an endpoint once. Nothing of the address, or of what the endpoint wrote, is in what it returns.
func (l *looker) look(ctx context.Context, address router.Secret) (s sight) {
	u, wrong := readAddress(address)
	if wrong != "" {
		return sight{result: refused, words: wrong}
	}
	key := l.key()
	s.pinged = key != nil
	var p *ping
	req := (&http.Request{Method: http.MethodHead, URL: u, Host: u.Host, Header: http.Header{}})
	if s.pinged {
		var err error
		if p, err = newPing(key); err != nil {
			s.result, s.words = failed, "no ping could be made with the given key"
			return s
		}
		req.Method, req.ContentLength = http.MethodPost, int64(len(p.body))
		req.Body = io.NopCloser(bytes.NewReader(p.body))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Hub-Signature-256", l.sign(p.body))
	}
	req.Header.Set("User-Agent", l.agent)
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	began := time.Now()
	resp, err := l.client.Do(req.WithContext(ctx))
	if err != nil {
		s.result, s.words = unanswered(err, l.timeout)
		return s
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	s.took, s.status = l.since(began), resp.StatusCode
	if err != nil {
		s.result, s.words = unanswered(err, l.timeout)
		return s
	}
	s.judge(p, body)
	return s
}

// judge says what an answer means. Without a ping, any answer of HTTP says that the endpoint can be reached, and no
// more.
func (s *sight) judge(p *ping, body []byte) {
	switch {
	case s.status/100 == 3:
		s.result, s.words = redirected, fmt.Sprintf("it redirects (HTTP %d), which is not followed", s.status)
	case p == nil:
		s.result = reached
	case s.status == http.StatusMisdirectedRequest:
		s.result, s.words = undecrypted, "it answers HTTP 421: it cannot decrypt, or has another key"
	case s.status == statusUnsigned:
		s.result, s.words = unsigned, "it answers HTTP 432: it does not believe our signature"
	case s.status != http.StatusOK:
		s.result, s.words = odd, fmt.Sprintf("it answers HTTP %d", s.status)
	case len(body) > maxBody:
		s.result, s.words = odd, fmt.Sprintf("its answer is longer than %d KiB", maxBody>>10)
	default:
		if s.result, s.words = active, p.read(body); s.words != "" {
			s.result = odd
		}
	}
	if s.good = p == nil || s.words == ""; s.good {
		s.words = ""
	}
}

// statusUnsigned is what an endpoint answers that does not believe X-Hub-Signature-256.
const statusUnsigned = 432

// unanswered says why there was no answer, in words of our own.
func unanswered(err error, timeout time.Duration) (result, string) {
	var timeouts interface{ Timeout() bool }
	var dns *net.DNSError
	switch {
	case errors.Is(err, errPrivate):
		return refused, "its address is private: not called without --probe-private"
	case errors.Is(err, errNever):
		return refused, "its address is not of the internet: not called"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeouts) && timeouts.Timeout():
		return timedOut, "no answer in " + router.FormatDuration(timeout)
	case errors.As(err, &dns):
		if dns.IsNotFound {
			return unreachable, "its name is not known (DNS)"
		}
		return unreachable, "its name cannot be looked up (DNS)"
	}
	if why := tlsFault(err); why != "" {
		return tlsFailed, "TLS fails: " + why
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return unreachable, "it refuses connections"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return unreachable, "no network leads there from here"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.EPIPE):
		return unreachable, "it closes the connection without an answer"
	}
	return unreachable, "it breaks off without an answer of HTTP"
}

// tlsFault says what is wrong with TLS; "" where that is not known to be the reason.
func tlsFault(err error) string {
	var invalid x509.CertificateInvalidError
	var alert *net.OpError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil &&
		time.Now().Before(invalid.Cert.NotBefore):
		return "its certificate is not valid yet"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired"
	case errors.As(err, new(x509.HostnameError)):
		return "its certificate is for another name"
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "nobody whom we know has signed its certificate, or the chain is not sent whole"
	case errors.As(err, new(*tls.CertificateVerificationError)), errors.As(err, &invalid):
		return "its certificate is not valid"
	case errors.As(err, new(tls.RecordHeaderError)), errors.Is(err, http.ErrSchemeMismatch):
		return "it speaks no TLS"
	case errors.As(err, &alert) && alert.Op == "remote error": // the text is the library's, by the number that was sent
		return strings.TrimPrefix(alert.Err.Error(), "tls: ")
	case strings.Contains(err.Error(), "tls: "):
		return "no agreement on how to speak it"
	}
	return ""
}
