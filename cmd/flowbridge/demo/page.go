package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"flowbridge/notifiers/sandbox"
)

// maxCards bounds the messages of a channel, and the incidents, that the page shows.
const maxCards = 25

// page shows the stand-ins in a browser, and lets people press there what Meta, Slack and PagerDuty would send.
type page struct {
	d        *demo
	busy     chan struct{} // holds one while something is pressed
	lateness atomic.Int64

	mu      sync.Mutex
	pressed int64
	came    []came   // newest first
	said    []said   // oldest first
	last    []post   // what Meta sent last
	before  snapshot // what the services showed before the newest press
	seq     int64    // journal position then
}

// said is the answer to a slash command.
type said struct {
	sandbox.Ephemeral
	Asked string
}

//go:embed page.html
var pageSource string

//go:embed page.css
var pageStyle string

//go:embed page.js
var pageScript string

// pagePolicy lets the page use what comes from here, and be in no frame.
const pagePolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func newPage(d *demo) *page { return &page{d: d, busy: make(chan struct{}, 1)} }

// serve serves the page until the context ends.
func (p *page) serve(ctx context.Context, l net.Listener) {
	server := &http.Server{
		Handler: p.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second,
		IdleTimeout:  time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler,
			slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	var closing sync.WaitGroup
	closing.Go(func() {
		<-ctx.Done()
		_ = server.Close()
	})
	_ = server.Serve(l)
	closing.Wait()
}

// handler answers requests to this machine that no other site has caused.
func (p *page) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.show)
	mux.HandleFunc("GET /page.css", asset("text/css; charset=utf-8", sandbox.Style+pageStyle))
	mux.HandleFunc("GET /page.js", asset("text/javascript; charset=utf-8", pageScript))
	mux.HandleFunc("POST /meta", p.meta)
	mux.HandleFunc("POST /slack/press", p.slackPress)
	mux.HandleFunc("POST /slack/write", p.slackWrite)
	mux.HandleFunc("POST /pagerduty", p.pagerDuty)
	mux.HandleFunc("POST /neighbours", p.neighbours)
	mux.HandleFunc("POST /as", p.as)
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-cache")
		if !ownHost(r.Host) {
			p.fail(w, http.StatusMisdirectedRequest, "This page is only known as 127.0.0.1 or localhost.")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if r.Method == http.MethodPost && r.ParseForm() != nil {
			p.fail(w, http.StatusBadRequest, "That is no form of this page.")
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// ownHost says whether a request names this machine. A web page that lets its own name lead here (DNS rebinding) is no
// other site to the browser, but the browser says the page's name.
func ownHost(text string) bool {
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		host = strings.Trim(text, "[]")
	}
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// asset answers with what does not change while the demo runs.
func asset(kind, text string) http.HandlerFunc {
	tag := etag([]byte(text))
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}
}

func etag(data []byte) string {
	sum := sha256.Sum256(data)
	return `"` + hex.EncodeToString(sum[:12]) + `"`
}

// show answers with the page, or with 304 where the reader has it as it is.
func (p *page) show(w http.ResponseWriter, r *http.Request) {
	data, err := p.data(r)
	var out bytes.Buffer
	if err == nil {
		err = pageTemplate.Execute(&out, data)
	}
	if err != nil {
		p.fail(w, http.StatusInternalServerError, "The page could not be drawn: "+err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("ETag", etag(out.Bytes()))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(out.Bytes()))
}

// fail answers with a sentence.
func (p *page) fail(w http.ResponseWriter, status int, words string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<!doctype html><html lang="en"><title>flowbridge demo</title><link rel="stylesheet" href="/page.css">`+
		`<p>%s <a href="/">Back to the demo</a></p>`, template.HTMLEscapeString(words))
}

// seeCame leads back to the page, where it says what came of a press.
func (p *page) seeCame(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/#came", http.StatusSeeOther)
}

// whoCookie names the person who presses.
const whoCookie = "flowbridge_demo_as"

func (p *page) as(w http.ResponseWriter, r *http.Request) {
	who := r.PostFormValue("who")
	if people[who] == "" {
		p.fail(w, http.StatusNotFound, "Nobody is called that here.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: whoCookie, Value: who, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *page) who(r *http.Request) person {
	if c, err := r.Cookie(whoCookie); err == nil && people[c.Value] != "" {
		return person(c.Value)
	}
	return onCall
}

var incidentNames = regexp.MustCompile(`INC-([0-9]+)`)

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"name":  func(ch string) string { return strings.TrimPrefix(ch, "#") },
	// links makes links of the names of incidents, to the console.
	"links": func(console, text string) template.HTML {
		return template.HTML(incidentNames.ReplaceAllString(template.HTMLEscapeString(text),
			`<a href="`+template.HTMLEscapeString(console)+`/incidents/$1" target="_blank" rel="noopener">INC-$1</a>`))
	},
	"pair":   func(console string, c came) any { return map[string]any{"Console": console, "C": c} },
	"num":    func(n int) int64 { return int64(n) },
	"style":  func() string { return strings.Trim(etag([]byte(sandbox.Style+pageStyle)), `"`) },
	"script": func() string { return strings.Trim(etag([]byte(pageScript)), `"`) },
}).Parse(pageSource))
