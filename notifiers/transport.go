package notifiers

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// MaxAnswerHeader bounds the header of an answer, in bytes. A service sends some hundred; without a bound of ours a
// server that answers in its place could send ten million for each call.
const MaxAnswerHeader = 64 << 10

// idlePerHost is how many connections to one service wait for the next call, where it speaks HTTP/1.1. The library
// keeps two: in a storm of hundreds of channels most calls would make a new one. All together keep idleAtAll.
const idlePerHost, idleAtAll = 512, 1024

// NewTransport returns what the HTTP clients of the notifiers and of the commands go through: that of the library, with
// the headers of answers bounded. Bodies are bounded by whoever reads them.
func NewTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes, t.MaxIdleConnsPerHost, t.MaxIdleConns = MaxAnswerHeader, idlePerHost, idleAtAll
	return t
}

// RetryAfter reads the header in seconds or as a date, for as much as it is believed. ok is false where it names no
// time to come.
func RetryAfter(header http.Header, now time.Time) (wait time.Duration, ok bool) {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		wait = time.Duration(min(seconds, uint64(LongestWait/time.Second))) * time.Second
	} else if errors.Is(err, strconv.ErrRange) {
		wait = LongestWait
	} else if at, err := http.ParseTime(text); err == nil {
		wait = min(at.Sub(now), LongestWait)
	}
	return wait, wait > 0
}

// NeverSent says of the error of a call that not even a connection was made.
func NeverSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// Unanswered returns what the error of a call says, without the method and the URL: that may hold a secret.
func Unanswered(err error) string {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err.Error()
	}
	return err.Error()
}
