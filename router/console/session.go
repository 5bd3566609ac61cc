package console

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

const (
	// sessionLife is how long somebody stays signed in.
	sessionLife = 12 * time.Hour
	// maxTries is how many wrong tokens may be given from one address within triesWithin.
	maxTries    = 5
	triesWithin = time.Minute
	// maxTrying bounds the addresses that are remembered.
	maxTrying = 1000
)

// session is who signed in. The cookie holds it with a signature: its key is that of the database, so that all
// processes take it, together with the token that was given, so that it ends when that changes.
type session struct {
	Name  string `json:"n"`
	Until int64  `json:"u"` // seconds since 1970
	Look  bool   `json:"l,omitempty"`
}

// signInKey is the key of the database, read once.
type signInKey struct {
	mu  sync.Mutex
	key []byte
}

func (k *signInKey) get(ctx context.Context, store Store) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key == nil {
		key, err := store.ConsoleKey(ctx)
		if err != nil {
			return nil, err
		}
		k.key = key
	}
	return k.key, nil
}

// signature signs a session for a token.
func signature(key []byte, token router.Secret, payload string) []byte {
	derived := hmac.New(sha256.New, key)
	derived.Write([]byte("flowbridge console session\x00" + token.Reveal()))
	mac := hmac.New(sha256.New, derived.Sum(nil))
	mac.Write([]byte(payload))
	return mac.Sum(nil)
}

// seal makes the value of a session's cookie.
func seal(key []byte, token router.Secret, s session) (string, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	payload := base64.RawURLEncoding.EncodeToString(data)
	return payload + "." + base64.RawURLEncoding.EncodeToString(signature(key, token, payload)), nil
}

// unseal reads the value of a session's cookie. tokens are those in force, of whoever may act and may look.
func unseal(key []byte, value string, act, look router.Secret, now time.Time) (s session, ok bool) {
	payload, signed, found := strings.Cut(value, ".")
	mac, err := base64.RawURLEncoding.DecodeString(signed)
	data, err2 := base64.RawURLEncoding.DecodeString(payload)
	if !found || err != nil || err2 != nil || json.Unmarshal(data, &s) != nil {
		return s, false
	}
	token := act
	if s.Look {
		token = look
	}
	ok = token != "" && hmac.Equal(mac, signature(key, token, payload)) && now.Before(time.Unix(s.Until, 0))
	return s, ok
}

// sessionOf returns the session that came with a request.
func (c *Console) sessionOf(r *http.Request) (session, bool) {
	value := c.cookie(r, "session")
	if value == "" || !c.overTLS(r) && !c.onLoopback(r) {
		return session{}, false
	}
	ctx, cancel := context.WithTimeout(r.Context(), probeTimeout)
	defer cancel()
	key, err := c.key.get(ctx, c.store)
	if err != nil {
		c.faults.warn("a session could not be looked at", "error", err)
		return session{}, false
	}
	return unseal(key, value, c.cfg.TokenNow(), c.cfg.ViewTokenNow(), c.cfg.Now())
}

// trusted says whether a request comes from a proxy that we trust.
func (c *Console) trusted(r *http.Request) bool {
	remote := addressOf(r.RemoteAddr)
	return slices.ContainsFunc(c.cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(remote) })
}

// overTLS says whether what the browser sends is encrypted: by us, or by a proxy that we trust. Of what proxies wrote
// only the last word counts, which is that of the one that we trust.
func (c *Console) overTLS(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	said := strings.Join(r.Header.Values("X-Forwarded-Proto"), ",")
	return c.trusted(r) && strings.EqualFold(strings.TrimSpace(said[strings.LastIndex(said, ",")+1:]), "https")
}

// onLoopback says whether the browser runs on this machine and asks it directly. The address alone does not say so: a
// proxy on this machine asks for others.
func (c *Console) onLoopback(r *http.Request) bool {
	host := hostOf(r.Host)
	return addressOf(r.RemoteAddr).IsLoopback() && (host == "localhost" || addressOf(host).IsLoopback()) &&
		r.Header.Get("X-Forwarded-For") == "" && r.Header.Get("X-Forwarded-Host") == ""
}

// tries counts wrong tokens by address.
type tries struct {
	mu   sync.Mutex
	from map[string][]time.Time
}

// left says whether an address may try once more.
func (t *tries) left(from string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	recent := slices.DeleteFunc(t.from[from], func(at time.Time) bool { return now.Sub(at).Abs() >= triesWithin })
	if len(recent) == 0 {
		delete(t.from, from)
	} else {
		t.from[from] = recent
	}
	return len(recent) < maxTries
}

// wrong takes in a wrong one.
func (t *tries) wrong(from string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.from == nil {
		t.from = map[string][]time.Time{}
	}
	if _, known := t.from[from]; !known && len(t.from) >= maxTrying {
		for other := range t.from { // any of them: whoever has so many addresses is not stopped by this
			delete(t.from, other)
			break
		}
	}
	t.from[from] = append(t.from[from], now)
}

// network is what tries are counted by: an address of IPv4, or the network that one household has of IPv6.
func (c *Console) network(r *http.Request) string {
	addr := addressOf(r.RemoteAddr)
	if c.trusted(r) {
		all := strings.Join(r.Header.Values("X-Forwarded-For"), ",")
		if client := addressOf(all[strings.LastIndex(all, ",")+1:]); client.IsValid() {
			addr = client
		}
	}
	if addr.Is6() {
		if net, err := addr.Prefix(64); err == nil {
			return net.String()
		}
	}
	return addr.String()
}

func (c *Console) signInRoutes() []pageRoute {
	return []pageRoute{
		{Method: http.MethodGet, Path: "/login", View: c.showSignIn, Open: true},
		{Method: http.MethodPost, Path: "/login", View: c.signIn, Open: true},
		{Method: http.MethodPost, Path: "/logout", View: c.signOut, Open: true},
	}
}

// signInForm is what the page for signing in shows.
type signInForm struct {
	Name, Next string
	Wrong      string // what was wrong with the try before
	Refused    string // why nobody can sign in here
}

// toSignIn leads somebody who has not signed in to where they can, and back from there.
func (c *Console) toSignIn(w http.ResponseWriter, r *http.Request) {
	to := "/login"
	// of a form, too: the page that it stood on has the address that it was posted to, and is shown again
	if next := localPath(r.URL.RequestURI()); next != "/" {
		to += "?next=" + url.QueryEscape(next)
	}
	w.Header().Set("Location", c.path(to))
	w.WriteHeader(http.StatusSeeOther)
}

// localPath returns a path of ours that somebody wanted, or "/" for anything else: a link to this page must not lead
// people to another site.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") ||
		strings.HasPrefix(u.Path, "//") ||
		strings.ContainsAny(u.Path, "\\\r\n\t") || strings.HasPrefix(u.Path, "/login") || len(next) > 2000 {
		return "/"
	}
	local := url.URL{Path: u.Path, RawQuery: u.RawQuery}
	return local.String()
}

// noSignIn says why nobody can sign in over this connection, "" if they can.
func (c *Console) noSignIn(r *http.Request) string {
	if c.overTLS(r) || c.onLoopback(r) {
		return ""
	}
	return "This connection is not encrypted: everybody on the way could read the token. Use https: give flowbridge a " +
		"certificate (--admin-tls-cert, --admin-tls-key), or let a proxy end TLS, name it in --admin-trusted-proxies and " +
		"have it send X-Forwarded-Proto. Or reach this machine through a tunnel (ssh -L) and open localhost."
}

func signInPage(form signInForm, status int) page {
	return page{Title: "Sign in", Template: "login", Data: form, Bare: true, Status: status}
}

// showSignIn: GET /login?next=
func (c *Console) showSignIn(r *http.Request, _ httprouter.Params) (page, error) {
	next := localPath(r.URL.Query().Get("next"))
	if who := callerOf(r); who.may != mayNothing {
		return page{SeeOther: next}, nil
	}
	if why := c.noSignIn(r); why != "" {
		return signInPage(signInForm{Refused: why}, http.StatusForbidden), nil
	}
	return signInPage(signInForm{Next: next}, 0), nil
}

// signIn: POST /login
func (c *Console) signIn(r *http.Request, _ httprouter.Params) (page, error) {
	form := signInForm{Name: bounded(r.PostForm.Get("name"), maxActor), Next: localPath(r.PostForm.Get("next"))}
	if c.cfg.Token == "" {
		return page{SeeOther: form.Next}, nil
	}
	if why := c.noSignIn(r); why != "" {
		return signInPage(signInForm{Refused: why}, http.StatusForbidden), nil
	}
	from, now := c.network(r), c.cfg.Now()
	if !c.tries.left(from, now) {
		form.Wrong = "Too many wrong tokens came from your address. Wait a minute."
		return signInPage(form, http.StatusTooManyRequests), nil
	}
	given := strings.TrimSpace(r.PostForm.Get("token"))
	act, look := c.cfg.TokenNow(), c.cfg.ViewTokenNow()
	isAct, isLook := isToken(given, act), isToken(given, look)
	who := callerOf(r)
	switch {
	case !isAct && !isLook:
		c.tries.wrong(from, now)
		c.refused.note(refusedWrong, "from", r.RemoteAddr)
		c.wrong.add(who.from)
		c.auditWrongTokens(r.Context(), false)
		form.Wrong = "That is not the token. It is FLOWBRIDGE_ADMIN_TOKEN of this bridge, or FLOWBRIDGE_VIEW_TOKEN to look."
		return signInPage(form, http.StatusForbidden), nil
	case form.Name == "":
		form.Wrong = "Give your name: cards and timelines say who acted."
		return signInPage(form, http.StatusBadRequest), nil
	}
	key, err := c.key.get(r.Context(), c.store)
	if err != nil {
		return page{}, err
	}
	s, token, verified := session{Name: form.Name, Until: now.Add(sessionLife).Unix()}, act, router.VerifiedAdminToken
	if !isAct {
		s.Look, token, verified = true, look, router.VerifiedViewToken
	}
	value, err := seal(key, token, s)
	if err != nil {
		return page{}, err
	}
	c.keep(r.Context(), router.AuditEntry{At: now.UTC(), Who: s.Name, Verified: verified, From: who.from,
		What: "sign in to the console", Result: "signed in"})
	c.cfg.Logger.Info("a person signed in", "by", s.Name, "verified", verified, "from", r.RemoteAddr)
	return page{SeeOther: form.Next, cookie: value}, nil
}

// signOut: POST /logout
func (c *Console) signOut(*http.Request, httprouter.Params) (page, error) {
	return page{SeeOther: "/login", signOut: true}, nil
}
