package console

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"flowbridge/router"
)

// caller is who asks, and how that is known.
type caller struct {
	person   string // who is signed in, by a trusted proxy or by us; "" for nobody
	session  bool   // by us: with a cookie
	verified string // one of router.Verified...
	from     string // address, for people
	may      access
	wrong    bool // a token came along, and it is none of ours
}

// access is what a caller may do.
type access int

const (
	mayNothing access = iota // but ask the probes
	mayLook
	mayAct
)

type callerKey struct{}

// callerOf returns who asks, as guard has found out.
func callerOf(r *http.Request) caller {
	who, _ := r.Context().Value(callerKey{}).(caller)
	return who
}

// actor is what cards and timelines call a caller who acts. A name in a body is anybody's word: it is shown as such,
// and counts for nothing beside one that a proxy vouches for.
func (who *caller) actor(given string) string {
	given = bounded(given, maxActor)
	switch {
	case who.person != "":
		return who.person
	case given != "":
		return "API (name given: " + given + ")"
	}
	return "API"
}

// caller finds out who asks.
func (c *Console) caller(r *http.Request) caller {
	remote, proxied := addressOf(r.RemoteAddr), c.trusted(r)
	who := caller{verified: router.VerifiedNot, from: origin(r, remote, proxied)}
	given := bearer(r)
	isAdmin, isView := isToken(given, c.cfg.TokenNow()), isToken(given, c.cfg.ViewTokenNow())
	person := c.signedIn(r, proxied)
	switch {
	case person != "":
		who.person, who.verified, who.may = person, router.VerifiedProxy, mayAct
		if isView { // the proxy lets them look, and no more
			who.may = mayLook
		}
	case c.cfg.Token == "":
		who.may = mayAct
	case isAdmin:
		who.verified, who.may = router.VerifiedAdminToken, mayAct
	case isView:
		who.verified, who.may = router.VerifiedViewToken, mayLook
	case given != "":
		who.wrong = true
	default:
		c.bySession(r, &who)
	}
	return who
}

// bySession takes up who signed in with us.
func (c *Console) bySession(r *http.Request, who *caller) {
	s, ok := c.sessionOf(r)
	if !ok {
		return
	}
	who.person, who.session, who.verified, who.may = s.Name, true, router.VerifiedAdminToken, mayAct
	if s.Look {
		who.verified, who.may = router.VerifiedViewToken, mayLook
	}
}

// bearer returns the token that came with a request, "" for none. Other schemes are for somebody on the way.
func bearer(r *http.Request) string {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(given)
}

// isToken compares hashes, so that not even the length of the token can be measured.
func isToken(given string, token router.Secret) bool {
	got, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(token.Reveal()))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1 && token != ""
}

// signedIn returns whom a trusted proxy has signed in, "" for nobody. A header that stands there twice was perhaps
// written by the person, and not taken out by the proxy.
func (c *Console) signedIn(r *http.Request, proxied bool) string {
	if c.cfg.UserHeader == "" {
		return ""
	}
	names := r.Header.Values(c.cfg.UserHeader)
	if len(names) == 0 {
		return ""
	}
	if !proxied || len(names) != 1 {
		c.refused.note(refusedHeader, "from", r.RemoteAddr, "header", c.cfg.UserHeader)
		return ""
	}
	return bounded(names[0], maxActor)
}

// addressOf reads an address, with or without a port; the zero Addr if it is none.
func addressOf(text string) netip.Addr {
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		host = text
	}
	addr, _ := netip.ParseAddr(strings.Trim(host, "[] "))
	return addr.Unmap().WithZone("")
}

// origin says where a request comes from. Of what proxies wrote into the request only the word of the one that we trust
// counts, which is the last.
func origin(r *http.Request, remote netip.Addr, proxied bool) string {
	from := r.RemoteAddr
	if remote.IsValid() {
		from = remote.String()
	}
	if !proxied {
		return from
	}
	all := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
	if client := addressOf(all[strings.LastIndex(all, ",")+1:]); client.IsValid() {
		return client.String() + " through " + from
	}
	return from
}

// hostOf returns the name or address in a Host header, in the form in which hosts are compared.
func hostOf(text string) string {
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		host = strings.Trim(text, "[]")
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

// knownHost says whether a request is meant for us. A web page that lets its own name lead to our address (DNS
// rebinding) is no other site to the browser, which lets it ask and act here as it likes; but the browser says the
// page's name. Who says none is no browser.
func (c *Console) knownHost(r *http.Request) bool {
	host := hostOf(r.Host)
	if host == "" || host == "localhost" || slices.Contains(c.cfg.Hosts, host) {
		return true
	}
	addr := addressOf(host)
	return addr.IsLoopback() || addr.IsValid() && addr == localAddress(r.Context())
}

// localAddress is the address of ours that a request came to: who listens on all of them knows each.
func localAddress(ctx context.Context) netip.Addr {
	local, ok := ctx.Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return local.AddrPort().Addr().Unmap().WithZone("")
}
