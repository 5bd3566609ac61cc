package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/notifiers/sandbox"
	databases "flowbridge/router/store/storetest"
)

func TestTheAdminAddressIsTakenAsServeTakesIt(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"http://127.0.0.1:9090":         "http://127.0.0.1:9090",
		"https://bridge.example.com/":   "https://bridge.example.com",
		"https://example.com/flows/":    "https://example.com/flows",
		"127.0.0.1:9090":                "http://127.0.0.1:9090",
		":9090":                         "http://127.0.0.1:9090",
		"0.0.0.0:9090":                  "http://127.0.0.1:9090",
		"[::]:9090":                     "http://127.0.0.1:9090",
		"[::1]:9090":                    "http://[::1]:9090",
		"bridge:9090":                   "http://bridge:9090",
		"bridge":                        "",
		"ftp://bridge":                  "",
		"https://ada:secret@bridge":     "",
		"https://bridge?token=secret":   "",
		"https://":                      "",
		"http://bridge.example.com/#in": "",
	} {
		got, err := adminURL(address)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v", address, got, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows the secret: %v", address, err)
		}
	}
}

// runWith runs the program with an environment.
func runWith(env map[string]string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	p := program{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}}
	code = p.run(context.Background(), args)
	return code, out.String(), errs.String()
}

func TestCommandsSayWhatToDoWhenTheBridgeDoesNotAnswer(t *testing.T) {
	t.Parallel()
	const token = "admin-token-of-the-test"
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed with %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	for _, tt := range []struct {
		name   string
		token  string
		answer http.HandlerFunc
		want   string
	}{
		{"no token", "", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(401)
			io.WriteString(w, `{"error":"send the admin token"}`)
		},
			"the bridge wants its admin token: set FLOWBRIDGE_ADMIN_TOKEN, or FLOWBRIDGE_ADMIN_TOKEN_FILE, to the one that " +
				"it was started with"},
		{"a wrong token", token, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+token {
				t.Errorf("token: %q", r.Header.Get("Authorization"))
			}
			w.WriteHeader(401)
			io.WriteString(w, `{"error":"send the admin token"}`)
		}, "the bridge does not take this FLOWBRIDGE_ADMIN_TOKEN: give the one that it was started with"},
		{"not possible now", token, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(409)
			io.WriteString(w, "{\"error\":\"INC-42 is resolved\\u001b[2J already\"}")
		}, "INC-42 is resolved [2J already"},
		{"another server", token, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "<html>hello</html>")
		}, "is no admin API of flowbridge: 200 OK, text/html; charset=utf-8 (its public address, --listen, is another one)"},
		{"another server's error", token, func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
			"is no admin API of flowbridge: 404 Not Found, text/plain; charset=utf-8"},
		{"a redirect", token, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		},
			"is no admin API of flowbridge: 307 Temporary Redirect"},
		{"a cut connection", token, func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
			"EOF (is it running there? Name its admin address with --admin or FLOWBRIDGE_ADMIN)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			for _, args := range [][]string{{"incidents"}, {"incidents", "show", "42"}, {"incidents", "resolve", "42"},
				{"deliveries"}, {"deliveries", "retry", "7"},
				{"silences"}, {"silences", "add", "--flow", "5", "--for", "4h"}, {"silences", "remove", "x"}} {
				code, stdout, stderr := runWith(map[string]string{"FLOWBRIDGE_ADMIN_TOKEN": tt.token},
					append(args, "--admin", server.URL)...)
				if code != exitFault || stdout != "" || !strings.Contains(stderr, tt.want) {
					t.Errorf("%v: status %d, printed %q and %q", args, code, stdout, stderr)
				}
				sandbox.AssertNoSecret(t, []string{token}, stdout, stderr)
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		code, _, stderr := runWith(nil, "silences", "--admin", server.URL)
		if code != exitFault || !strings.Contains(stderr, "no bridge answers at "+server.URL) ||
			!strings.Contains(stderr, "is it running there?") {
			t.Errorf("status %d, %q", code, stderr)
		}
	})
	t.Run("silence", func(t *testing.T) {
		stuck := make(chan struct{})
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
		defer server.Close()
		defer close(stuck)
		p := program{Getenv: func(string) (string, bool) { return "", false }}
		client, err := p.adminClient("--admin", server.URL)
		if err != nil {
			t.Fatal(err)
		}
		client.http.Timeout = 50 * time.Millisecond
		if err := client.call(context.Background(), "GET", "/api/v1/silences", nil, nil); err == nil ||
			!strings.Contains(err.Error(), "did not answer within") {
			t.Errorf("got %v", err)
		}
	})
}

func TestWhatOthersWroteCannotSteerTheTerminal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"a\x1b[2Jb": "a [2Jb", "one\ntwo\tthree": "one two three",
		"right\u202eto left": "rightto left", "Käse ✔": "Käse ✔"} {
		if diff := cmp.Diff(want, clean(in)); diff != "" {
			t.Error(diff)
		}
	}
}

// TestListsThatAreLongerThanAPageAreListed holds what a storm makes of lists: the API answers a page, and where it goes
// on.
func TestListsThatAreLongerThanAPageAreListed(t *testing.T) {
	t.Parallel()
	s := newServices(t, "#ops")
	p := start(t, s, writeRules(t, "version: 1\nnotifiers: {ops: {kind: slack, channel: \"#ops\"}}\n"+
		"default: {notify: [ops]}\n"), databases.File(t))
	for flow := range 5 {
		p.post(t, pairPost(time.Now().Unix(), fmt.Sprint(70+flow), "ACTIVATED", 50), http.StatusOK)
	}
	eventually(t, "all are open", func() bool {
		_, stdout, _ := runWith(nil, "incidents", "--admin", p.Admin)
		return strings.Count(stdout, "INC-") == 5
	})
	for _, args := range [][]string{{"incidents"}, {"deliveries", "--state", "all"}, {"events"}} {
		code, stdout, stderr := runWith(nil, append(args, "--limit", "2", "--admin", p.Admin)...)
		more := "there are more " + args[0]
		if code != 0 || strings.Count(stdout, "\n") != 3 || !strings.Contains(stderr, more) {
			t.Errorf("%v: status %d, printed %q and %q, want a heading and two, and %q", args, code, stdout, stderr, more)
		}
	}
	client, err := (&program{Getenv: func(string) (string, bool) { return "", false }}).adminClient("--admin", p.Admin)
	must(t, err)
	list, err := readList(t.Context(), client, "incidents", url.Values{"limit": {"2"}}, nil, "open", 100)
	if err != nil || len(list.all) != 5 || list.more {
		t.Errorf("page by page: %d incidents, more: %t, %v", len(list.all), list.more, err)
	}
}
