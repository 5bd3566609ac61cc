package main

import (
	"net/http"
	"time"

	"flowbridge/notifiers"
)

// newHTTPClient returns a client for calls of our own: answers are bounded, and no redirect is followed, since that
// would carry a token to whoever it names. 0 bounds no time: the caller's context does.
func newHTTPClient(timeout time.Duration) *http.Client {
	return &http.Client{
		Timeout:       timeout,
		Transport:     notifiers.NewTransport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
