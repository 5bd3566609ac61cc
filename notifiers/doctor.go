package notifiers

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"

	"flowbridge/router"
)

// Finding is what one check of the doctor saw, in words for whoever sets flowbridge up.
type Finding struct {
	Status string `json:"status"` // ok, warn or FAIL
	Name   string `json:"name"`   // of the check
	Seen   string `json:"seen"`
	Do     string `json:"do,omitempty"` // what to do about it; "" where all is well
}

// What a check may find.
const (
	StatusOK   = "ok"
	StatusWarn = "warn" // it works, and something is missing or will go wrong
	StatusFail = "FAIL" // it does not work
)

// Fine returns a finding that all is well.
func Fine(name, seen string, args ...any) Finding {
	return Finding{Status: StatusOK, Name: name, Seen: fmt.Sprintf(seen, args...)}
}

// Warn returns a finding that something is missing or will go wrong.
func Warn(name, seen, do string) Finding { return Finding{StatusWarn, name, seen, do} }

// Fail returns a finding that something does not work.
func Fail(name, seen, do string) Finding { return Finding{StatusFail, name, seen, do} }

// Doctor is what the checks of a kind may ask. They only read: nobody gets a message or a page. No secret comes out,
// whatever they say.
type Doctor struct {
	Targets   []router.Target                 // the notifiers of the kind
	RulesRead bool                            // else it is not known which there are
	Secret    func(name string) router.Secret // "" for one that is not set, or that cannot be read
	Unread    func(name string) bool          // it is set and cannot be read, which is said already
	Setting   func(name string) string        // a variable that is no secret
	// where services reach us: what stands before /webhooks; "" where that is not known
	Public string
	// Ask makes one call, bounded in time and size. Its error holds no address and no secret.
	Ask func(ctx context.Context, method, address string, header http.Header, form url.Values) (*Reply, error)
}

// Reply is an answer to the doctor.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
	TLS    *tls.ConnectionState // nil without TLS
}
