package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/julienschmidt/httprouter"

	"flowbridge/router"
)

const (
	// maxBody bounds what a person may send: a name.
	maxBody = 4 << 10
	// storeTimeout bounds what one request may ask of the store.
	storeTimeout = 10 * time.Second
)

// refusal is an error that is the caller's to mend; its text is shown.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// handle is a route: it returns a status and a body to be written as JSON, or an error.
type handle func(r *http.Request, p httprouter.Params) (status int, body any, err error)

// answer makes a route of a handle. Nothing else writes answers of the API.
func (c *Console) answer(h handle) httprouter.Handle { return c.answerWithin(storeTimeout, h) }

// answerWithin gives a request its time, also where the server allows less.
func (c *Console) answerWithin(limit time.Duration, h handle) httprouter.Handle {
	return func(w http.ResponseWriter, r *http.Request, p httprouter.Params) {
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		allow(w, limit)
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		status, body, err := h(r, p)
		if err != nil {
			c.fail(w, r, err)
			return
		}
		c.write(w, r, status, body)
	}
}

// allow makes the server allow a request its time, where that is more than it allows others.
func allow(w http.ResponseWriter, limit time.Duration) {
	if limit <= storeTimeout {
		return
	}
	control, until := http.NewResponseController(w), time.Now().Add(limit+storeTimeout)
	// A writer that cannot do this, as in a test, has no limits of its own.
	_ = errors.Join(control.SetReadDeadline(until), control.SetWriteDeadline(until))
}

// fail answers with an error. What went wrong inside is logged and not shown.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, err error) {
	var refused *refusal
	var tooLong *http.MaxBytesError
	status, text := http.StatusInternalServerError, "a fault in flowbridge or its storage: its log says more"
	switch {
	case errors.As(err, &refused):
		status, text = refused.status, refused.text
		switch status {
		case http.StatusUnauthorized:
			w.Header().Set("WWW-Authenticate", "Bearer")
		case http.StatusTooManyRequests:
			w.Header().Set("Retry-After", "1")
		}
	case errors.As(err, &tooLong):
		status, text = http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is longer than %d bytes", tooLong.Limit)
	case errors.Is(err, router.ErrNotFound):
		status, text = http.StatusNotFound, err.Error()
	case errors.Is(err, router.ErrConflict):
		status, text = http.StatusConflict, err.Error()
	case errors.Is(err, router.ErrBusy), errors.Is(err, router.ErrClosed):
		w.Header().Set("Retry-After", "1")
		status, text = http.StatusServiceUnavailable, "flowbridge cannot write this down now: try again in a second"
	}
	if status >= 500 && !errors.Is(r.Context().Err(), context.Canceled) { // else whoever asked has gone
		c.faults.error("a request to the console was not served", "method", r.Method, "path", r.URL.Path, "status", status,
			"error", err)
	}
	if wantsPage(r) {
		c.problemPage(w, r, status, text)
		return
	}
	c.write(w, r, status, map[string]string{"error": text})
}

func (c *Console) write(w http.ResponseWriter, r *http.Request, status int, body any) {
	var buf bytes.Buffer // whole before the first byte goes out, so that a fault can still become a 500
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // it is never read as HTML: the headers see to that
	if err := enc.Encode(body); err != nil {
		c.cfg.Logger.Error("an answer of the console could not be written as JSON", "path", r.URL.Path, "error", err)
		status = http.StatusInternalServerError
		buf.Reset()
		buf.WriteString(`{"error":"a fault in flowbridge: its log says more"}` + "\n")
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(buf.Bytes())
}

// guard stands before every route: headers, faults of ours, who asks and whether they may, and other people's web
// pages.
func (c *Console) guard(next http.Handler) http.Handler {
	foreign := http.NewCrossOriginProtection()
	foreign.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.refused.note(refusedSite, "from", r.RemoteAddr, "origin", bounded(r.Header.Get("Origin"), maxActor))
		c.fail(w, r, refuse(http.StatusForbidden, "a page of another site may not do this"))
	}))
	checked := foreign.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p)
			default:
				c.cfg.Logger.Error("the console panicked", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				c.write(w, r, http.StatusInternalServerError,
					map[string]string{"error": "a fault in flowbridge: its log says more"})
			}
		}()
		who := c.caller(r)
		if err := c.admit(r, &who); err != nil {
			c.fail(w, r, err)
			return
		}
		checked.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
	})
}
