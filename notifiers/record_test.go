package notifiers_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"flowbridge/notifiers"
	"flowbridge/router"
)

// exchanged makes one call through a recorded transport and returns what is kept of it.
func exchanged(t *testing.T, transport notifiers.Recorded, answer string, secrets []router.Secret,
	request func(base string) *http.Request) router.Call {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	transport.RoundTripper = notifiers.NewTransport()
	e := &router.Exchange{}
	e.Hide(secrets...)
	resp, err := (&http.Client{Transport: transport}).Do(
		request(server.URL).WithContext(router.WithExchange(context.Background(), e)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil || string(got) != answer {
		t.Errorf("the caller reads %d bytes, %v", len(got), err)
	}
	calls, _ := e.Calls()
	if len(calls) != 1 {
		t.Fatalf("kept: %+v", calls)
	}
	c := calls[0]
	c.URL, c.Took = strings.TrimPrefix(c.URL, server.URL), 0
	return c
}

func form(path string, values url.Values) func(string) *http.Request {
	return func(base string) *http.Request {
		r, _ := http.NewRequest(http.MethodPost, base+path, strings.NewReader(values.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
}

func post(path, body string) func(string) *http.Request {
	return func(base string) *http.Request {
		r, _ := http.NewRequest(http.MethodPost, base+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer in-a-header")
		return r
	}
}

func TestWhatGoesOverTheWireIsKept(t *testing.T) {
	key := router.Secret("R0/UTING&KEY")
	long := strings.Repeat("x", router.MaxRequest-5)
	for name, tt := range map[string]struct {
		transport notifiers.Recorded
		answer    string
		request   func(string) *http.Request
		want      router.Call
	}{
		"a form as JSON, its token blanked": {
			answer: `{"ok":true}`,
			request: form("/api/chat.postMessage", url.Values{"token": {"xoxb-1"}, "blocks": {`[{"type":"divider"}]`},
				"text": {"a & b"}, "broken": {"[1"}}),
			want: router.Call{Method: "POST", URL: "/api/chat.postMessage", Status: 200, Answer: `{"ok":true}`,
				Request: `{"blocks":[{"type":"divider"}],"broken":"[1","text":"a & b","token":"••••••"}`},
		},
		"a body as it is, secrets blanked however they are written": {
			answer:  `{"errors":["bad R0\/UTING&KEY"]}`,
			request: post("/v2/enqueue", `{"routing_key":"R0/UTING\u0026KEY","n":"R0/UTING&KEY R0%2FUTING%26KEY"}`),
			want: router.Call{Method: "POST", URL: "/v2/enqueue", Status: 200, Answer: `{"errors":["bad ••••••"]}`,
				Request: `{"routing_key":"••••••","n":"•••••• ••••••"}`},
		},
		"a query without its token": {
			request: func(base string) *http.Request {
				r, _ := http.NewRequest(http.MethodGet, base+"/api/chat.getPermalink?channel=C1&token=xoxb-1", nil)
				return r
			},
			want: router.Call{Method: "GET", URL: "/api/chat.getPermalink", Status: 200,
				Request: `{"channel":"C1","token":"••••••"}`},
		},
		"of what people wrote nothing": {
			transport: notifiers.Recorded{Withheld: func(*http.Request) bool { return true }},
			answer:    `{"ok":true,"messages":[{"text":"lunch?"}]}`,
			request:   post("/api/conversations.history", ""),
			want: router.Call{Method: "POST", URL: "/api/conversations.history", Status: 200,
				Answer: "(not kept: it may hold what people wrote)"},
		},
		"a refusal in its place": {
			transport: notifiers.Recorded{Withheld: func(*http.Request) bool { return true }},
			answer:    `{"ok":false,"error":"missing_scope"}`,
			request:   post("/api/conversations.history", ""),
			want: router.Call{Method: "POST", URL: "/api/conversations.history", Status: 200,
				Answer: `{"ok":false,"error":"missing_scope"}`},
		},
		"the beginning of what is long, and no part of a secret at its end": {
			answer:  strings.Repeat("y", 3*router.MaxAnswer),
			request: post("/", long+key.Reveal()+long),
			want: router.Call{Method: "POST", URL: "/", Status: 200, Answer: strings.Repeat("y", router.MaxAnswer),
				AnswerCut: true,
				Request:   long + "•", RequestCut: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := exchanged(t, tt.transport, tt.answer, []router.Secret{key}, tt.request); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestOfAPrivateAddressOnlyTheHostIsKept(t *testing.T) {
	got := exchanged(t, notifiers.Recorded{Private: true}, "", nil, post("/hooks/secret?k=v", "{}"))
	if got.URL != "/…" || got.Request != "{}" {
		t.Errorf("got %+v", got)
	}
}

func TestTheLastCallIsKeptHoweverManyThereAre(t *testing.T) {
	e := &router.Exchange{}
	for i := range 20 {
		e.Add(router.Call{Status: i})
	}
	calls, more := e.Calls()
	if len(calls) != router.MaxCalls || calls[0].Status != 0 || calls[router.MaxCalls-1].Status != 19 || more != 12 {
		t.Errorf("got %+v and %d more", calls, more)
	}
}
