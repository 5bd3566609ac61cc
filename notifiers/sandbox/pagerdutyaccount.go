package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"flowbridge/router"
)

// Account is a stand-in for the part of PagerDuty's REST API that tells about an account: GET /abilities, /users and
// /webhook_subscriptions. It changes nothing and refuses all else. Its fields are set before it serves.
type Account struct {
	// Token is the only one that is valid. Required.
	Token router.Secret
	// Denied are paths that the token may not read: 403.
	Denied []string
	// Users by e-mail address.
	Users []string
	// Subscriptions of webhooks.
	Subscriptions []Subscription
	// Page is how many of a list one answer holds at most. Default: as many as are asked for, PagerDuty's 100.
	Page int

	mu    sync.Mutex
	calls []string
}

// Subscription is a V3 webhook subscription.
type Subscription struct {
	URL      string
	Events   []string
	Inactive bool // a person disabled it
	Disabled bool // PagerDuty did, since nobody answered
}

// Calls returns the method and path of every request so far, oldest first.
func (a *Account) Calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.calls...)
}

// ServeHTTP answers a call of the REST API.
func (a *Account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.calls = append(a.calls, r.Method+" "+r.URL.Path)
	a.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "Token token="+a.Token.Reveal():
		a.say(w, http.StatusUnauthorized,
			map[string]any{"error": map[string]any{"code": 2006, "message": "Authentication failed"}})
	case r.Method != http.MethodGet:
		http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
	case slices.Contains(a.Denied, r.URL.Path):
		a.say(w, http.StatusForbidden, map[string]any{"error": map[string]any{"code": 2010, "message": "Access Denied"}})
	case r.URL.Path == "/abilities":
		a.say(w, http.StatusOK, map[string]any{"abilities": []string{"teams", "urgencies"}})
	case r.URL.Path == "/users":
		var users []map[string]any
		for i, email := range a.Users {
			if strings.Contains(email, r.URL.Query().Get("query")) {
				users = append(users, map[string]any{"id": "PUSER" + strconv.Itoa(i), "email": email, "type": "user"})
			}
		}
		a.list(w, r, "users", users)
	case r.URL.Path == "/webhook_subscriptions":
		var subscriptions []map[string]any
		for i, s := range a.Subscriptions {
			subscriptions = append(subscriptions, map[string]any{
				"id": "PSUB" + strconv.Itoa(i), "type": "webhook_subscription", "active": !s.Inactive, "events": s.Events,
				"delivery_method": map[string]any{"type": "http_delivery_method", "url": s.URL, "temporarily_disabled": s.Disabled},
			})
		}
		a.list(w, r, "webhook_subscriptions", subscriptions)
	default:
		a.say(w, http.StatusNotFound, map[string]any{"error": map[string]any{"code": 2100, "message": "Not Found"}})
	}
}

// list answers with one page.
func (a *Account) list(w http.ResponseWriter, r *http.Request, name string, all []map[string]any) {
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	if limit < 1 || limit > 100 {
		limit = 25
	}
	if a.Page > 0 {
		limit = a.Page
	}
	offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
	from := min(max(offset, 0), len(all))
	to := min(from+limit, len(all))
	page := append([]map[string]any{}, all[from:to]...)
	a.say(w, http.StatusOK, map[string]any{name: page, "limit": limit, "offset": offset, "more": to < len(all)})
}

func (a *Account) say(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone does not want it
}
