package console

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/julienschmidt/httprouter"
)

// A page of the console is a route in a list (see pageRoutes), a view that reads what it shows, and a template under
// web/. The frame around it, signing in, errors, conditional requests and flash messages are the same for all and stand
// here.

// pagePolicy is the Content-Security-Policy of pages: nothing from elsewhere, no inline script or style.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// page is what a view shows in the frame, or where it leads.
type page struct {
	Title    string // of the window, and the one h1
	Template string // its file is web/TEMPLATE.html, which defines "main"; it is given a frame
	Data     any
	Status   int  // of the answer. Default: 200
	Bare     bool // without the navigation: for signing in

	// SeeOther leads to a path of ours instead, with a message that is shown there once: what came of an act.
	SeeOther string
	Said     flash

	// File is an answer that is no page, such as CSV.
	File *file

	cookie  string  // signs in
	team    *string // is kept as the team of this browser; "" takes it away
	signOut bool
}

// file is an answer that is downloaded.
type file struct {
	Name, Type string
	Body       []byte
}

// view makes a page. Its error is shown as a page.
type view func(r *http.Request, p httprouter.Params) (page, error)

// pageRoute is a route of the console.
type pageRoute struct {
	Method, Path string
	Nav          string // path of the entry of the navigation that it belongs to, or ""
	View         view
	Open         bool          // also for those who have not signed in
	Live         bool          // it is asked for again and again: answered 304 while nothing in the store has changed
	Reads        bool          // it changes nothing, whatever its method
	MaxBody      int64         // bytes of a form. Default: maxBody
	Limit        time.Duration // for all that it takes. Default: storeTimeout
}

// teamSeconds is how long a browser remembers its team.
const teamSeconds = 365 * 24 * 60 * 60

// navEntry is an entry of the navigation.
type navEntry struct {
	Path, Name string
	Current    bool
}

// navigation are the rooms of the console, in order. One without a route is left out.
var navigation = []navEntry{
	{Path: "/", Name: "Incidents"}, {Path: "/flows", Name: "Flows"}, {Path: "/silences", Name: "Silences"},
	{Path: "/events", Name: "Events"}, {Path: "/deliveries", Name: "Deliveries"}, {Path: "/rules", Name: "Rules"},
	{Path: "/report", Name: "Report"}, {Path: "/setup", Name: "Setup"},
}

// pageRoutes are all routes of the console. A new page is a row here, or a list of rows beside its view.
func (c *Console) pageRoutes() []pageRoute {
	return slices.Concat(
		c.incidentRoutes(),
		c.actRoutes(),
		c.eventRoutes(),
		c.deliveryRoutes(),
		c.notifierRoutes(),
		c.flowRoutes(),
		c.signInRoutes(),
		c.manualRoutes(),
		c.silenceRoutes(),
		c.rulesRoutes(),
		c.reportRoutes(),
		c.setupRoutes(),
	)
}

// PagePaths returns the paths of all pages that a browser may go to, with names of what stands in them:
// /incidents/:number.
func (c *Console) PagePaths() (paths []string) {
	for _, route := range c.pageRoutes() {
		if route.Method == http.MethodGet {
			paths = append(paths, route.Path)
		}
	}
	return paths
}

// frame is what the layout and a page's template are given.
type frame struct {
	page
	Nav      []navEntry
	Trouble  []trouble // the red bar
	Flash    *flash
	Person   string // who is signed in, "" for nobody
	SignedIn bool   // by a cookie, so that they can sign out
	MayAct   bool
	WhyNot   string // why not, where they may not act
	ETag     string // of a live page: the script asks with it
	Here     string // path and query of the page, without the prefix
	Now      time.Time
	CSS, JS  string // paths of the assets
	Version  string
}

// flash is a message that is shown once.
type flash struct {
	Text string `json:"t"`
	Bad  bool   `json:"b,omitempty"`
}

// done is the flash of an act that went well, in a sentence.
func done(format string, args ...any) flash { return flash{Text: fmt.Sprintf(format, args...)} }

// path returns where people find a path of ours, below the prefix.
func (c *Console) path(local string) string { return c.cfg.Prefix + local }

// addPages puts the pages into the mux.
func (c *Console) addPages(mux *httprouter.Router) {
	routes := c.pageRoutes()
	for _, route := range routes {
		handle := c.pageHandler(route)
		if route.Method == http.MethodGet && route.Limit == 0 { // one with a time of its own waits for services
			handle = c.turns.each(handle)
		}
		mux.Handle(route.Method, route.Path, handle)
	}
	for _, entry := range navigation {
		if slices.ContainsFunc(routes, func(r pageRoute) bool { return r.Path == entry.Path }) {
			c.web.nav = append(c.web.nav, entry)
		}
	}
	mux.GET("/assets/:name", c.showAsset)
	mux.GET("/favicon.ico", func(w http.ResponseWriter, r *http.Request, _ httprouter.Params) {
		w.WriteHeader(http.StatusNoContent)
	})
}

// pageHandler serves a route of the console.
func (c *Console) pageHandler(route pageRoute) httprouter.Handle {
	return func(w http.ResponseWriter, r *http.Request, p httprouter.Params) {
		limit := cmp.Or(route.Limit, storeTimeout)
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		allow(w, limit)
		r = r.WithContext(ctx)
		who := callerOf(r)
		if !route.Open {
			if why := c.barred(r, &who); why != nil && !route.Reads {
				c.fail(w, r, why)
				return
			}
			if who.may == mayNothing {
				c.toSignIn(w, r)
				return
			}
		}
		r.Body = http.MaxBytesReader(w, r.Body, cmp.Or(route.MaxBody, maxBody))
		if err := parseForm(r); err != nil {
			c.fail(w, r, err)
			return
		}
		f := frame{}
		if !route.Open {
			if err := c.lookAround(r, &f); err != nil {
				c.fail(w, r, err)
				return
			}
		}
		f.Flash = c.takeFlash(w, r)
		if route.Live {
			etag, err := c.etag(r, &f)
			if err != nil {
				c.fail(w, r, err)
				return
			}
			f.ETag = etag
			w.Header().Set("ETag", etag)
			if f.Flash == nil && sameTag(r.Header.Get("If-None-Match"), etag) {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		shown, err := route.View(r, p)
		if err != nil {
			w.Header().Del("ETag")
			c.fail(w, r, err)
			return
		}
		f.page = shown
		c.showPage(w, r, route.Nav, &f)
	}
}

// sameTag says whether If-None-Match names an ETag, also as a weak one: a proxy that compresses makes it that.
func sameTag(header, etag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		if strings.TrimPrefix(strings.TrimSpace(one), "W/") == etag {
			return true
		}
	}
	return false
}

// barred says that somebody who may only look wants to act.
func (c *Console) barred(r *http.Request, who *caller) error {
	if who.may != mayLook || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	return c.refuseView(r, who, onlyLook)
}

// onlyLook is why acts are not possible for whoever has the view token.
const onlyLook = "You are signed in to look, not to act. Sign in with the admin token to act."

// parseForm reads a form; other bodies are refused.
func parseForm(r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	err := r.ParseForm()
	if err == nil || errors.As(err, new(*http.MaxBytesError)) {
		return err
	}
	return refuse(http.StatusBadRequest, "this form cannot be read")
}

// showPage writes a page, or leads to where it says.
func (c *Console) showPage(w http.ResponseWriter, r *http.Request, nav string, f *frame) {
	switch {
	case f.SeeOther != "":
		switch {
		case f.cookie != "":
			c.setCookie(w, r, "session", f.cookie, int(sessionLife.Seconds()))
		case f.signOut:
			c.setCookie(w, r, "session", "", 0)
		case f.team != nil:
			c.setCookie(w, r, "team", url.QueryEscape(*f.team), teamSeconds)
		}
		if f.Said.Text != "" {
			c.setFlash(w, r, f.Said)
		}
		w.Header().Del("ETag")
		w.Header().Set("Location", c.path(f.SeeOther))
		w.WriteHeader(http.StatusSeeOther)
		return
	case f.File != nil:
		w.Header().Set("Content-Type", f.File.Type)
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", f.File.Name))
		c.send(w, r, http.StatusOK, f.File.Body)
		return
	}
	c.furnish(r, nav, f)
	var buf bytes.Buffer // whole before the first byte goes out, so that a fault can still become a 500
	t, err := c.web.template(f.Template)
	if err == nil {
		err = t.ExecuteTemplate(&buf, "layout", f)
	}
	if err != nil {
		c.failInside(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "same-origin") // with none at all browsers send "Origin: null" with our own forms
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	c.send(w, r, status, buf.Bytes())
}

// failInside is the answer where a page could not be made; it is no page, since that may be what fails.
func (c *Console) failInside(w http.ResponseWriter, r *http.Request, err error) {
	c.faults.error("a page of the console could not be made", "path", r.URL.Path, "error", err)
	c.write(w, r, http.StatusInternalServerError, map[string]string{"error": "a fault in flowbridge: its log says more"})
}

// furnish puts into a frame what the layout wants.
func (c *Console) furnish(r *http.Request, nav string, f *frame) {
	who := callerOf(r)
	f.Person, f.SignedIn, f.MayAct = who.person, who.session, who.may == mayAct
	if who.may == mayLook {
		f.WhyNot = onlyLook
	}
	f.CSS, f.JS, f.Now, f.Version, f.Here = c.web.css, c.web.js, c.cfg.Now(), c.cfg.Version, r.URL.RequestURI()
	if f.Bare {
		return
	}
	f.Nav = slices.Clone(c.web.nav)
	for i := range f.Nav {
		f.Nav[i].Current = f.Nav[i].Path == nav
	}
}

// wantsPage says whether whoever asks is to be answered with a page: a browser, and no program that uses the API.
func wantsPage(r *http.Request) bool {
	probes := []string{"/healthz", "/readyz", "/metrics"}
	return !strings.HasPrefix(r.URL.Path, "/api/") && !slices.Contains(probes, r.URL.Path) &&
		strings.Contains(r.Header.Get("Accept"), "text/html")
}

// problemPage shows an error. It asks the store for nothing: that may be what is at fault.
func (c *Console) problemPage(w http.ResponseWriter, r *http.Request, status int, text string) {
	heading := map[int]string{
		http.StatusBadRequest:         "That cannot be read",
		http.StatusForbidden:          "Not allowed",
		http.StatusNotFound:           "Not found",
		http.StatusMethodNotAllowed:   "Not possible here",
		http.StatusConflict:           "Not possible now",
		http.StatusMisdirectedRequest: "Unknown address",
		http.StatusTooManyRequests:    "Too many tries",
		http.StatusServiceUnavailable: "Not possible now",
	}[status]
	if heading == "" {
		heading = http.StatusText(status)
	}
	if status >= http.StatusInternalServerError && status != http.StatusServiceUnavailable {
		heading = "Something went wrong"
	}
	first, size := []rune(text), 0
	if len(first) > 0 {
		size = len(string(first[0]))
		text = strings.ToUpper(string(first[0])) + text[size:]
	}
	f := frame{page: page{Title: heading, Template: "problem", Data: text, Status: status,
		Bare: callerOf(r).may == mayNothing}}
	c.showPage(w, r, "", &f)
}

// etag names all that a live page shows: what is in the store, what the frame tells, who looks and which page it is.
func (c *Console) etag(r *http.Request, f *frame) (string, error) {
	stamp, err := c.store.PageStamp(r.Context())
	if err != nil {
		return "", err
	}
	who := callerOf(r)
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q %q %d %q %q %q", stamp, r.URL.RequestURI(), c.web.css, who.person, who.may, f.Trouble,
		c.cfg.Version, r.Header.Get("Cookie"))
	return `"` + hex.EncodeToString(sum.Sum(nil)[:12]) + `"`, nil
}
