package console

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

const (
	// maxFlash bounds a message, in runes: a cookie has 4 KB.
	maxFlash = 500
	// flashSeconds is how long it waits for the page that shows it.
	flashSeconds = 60
)

// cookieName returns the name of a cookie of ours. Two bridges below one address have cookies of their own, and over
// TLS the browser takes them from our host alone.
func (c *Console) cookieName(r *http.Request, kind string) string {
	name := "flowbridge" + strings.ReplaceAll(c.cfg.Prefix, "/", "-") + "-" + kind
	if c.overTLS(r) {
		return "__Host-" + name
	}
	return name
}

// setCookie gives a cookie to the browser; "" takes it away.
func (c *Console) setCookie(w http.ResponseWriter, r *http.Request, kind, value string, seconds int) {
	if value == "" {
		seconds = -1
	}
	http.SetCookie(w, &http.Cookie{Name: c.cookieName(r, kind), Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: c.overTLS(r)})
}

// cookie returns one that came, "" for none.
func (c *Console) cookie(r *http.Request, kind string) string {
	got, err := r.Cookie(c.cookieName(r, kind))
	if err != nil {
		return ""
	}
	return got.Value
}

// setFlash keeps a message for the next page.
func (c *Console) setFlash(w http.ResponseWriter, r *http.Request, said flash) {
	said.Text = bounded(said.Text, maxFlash)
	data, err := json.Marshal(said)
	if err != nil {
		return
	}
	c.setCookie(w, r, "said", base64.RawURLEncoding.EncodeToString(data), flashSeconds)
}

// takeFlash returns the message for this page, and takes it away; nil for none.
func (c *Console) takeFlash(w http.ResponseWriter, r *http.Request) *flash {
	value := c.cookie(r, "said")
	if value == "" || r.Method != http.MethodGet {
		return nil
	}
	c.setCookie(w, r, "said", "", 0)
	data, err := base64.RawURLEncoding.DecodeString(value)
	said := flash{}
	if err != nil || json.Unmarshal(data, &said) != nil || said.Text == "" {
		return nil
	}
	said.Text = bounded(said.Text, maxFlash)
	return &said
}
