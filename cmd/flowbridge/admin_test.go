package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhoCanBeReachedFromElsewhereNeedsAnAdminToken(t *testing.T) {
	t.Parallel()
	for address, alone := range map[string]bool{
		"127.0.0.1:9090": true, "127.8.8.8:9090": true, "[::1]:9090": true, "localhost:9090": true,
		"[::ffff:127.0.0.1]:9090": true,
		":9090":                   false, "0.0.0.0:9090": false, "[::]:9090": false, "10.0.0.7:9090": false,
		"bridge:9090": false, "9090": false, "": false,
	} {
		for _, token := range []string{"", "admin-token-of-the-test"} {
			env := map[string]string{"META_APP_SECRET": "s", "META_VERIFY_TOKEN": "v", "FLOWBRIDGE_ADMIN_TOKEN": token}
			p := program{Getenv: func(name string) (string, bool) { value, ok := env[name]; return value, ok }}
			_, err := serveCommand{Rules: "nowhere.yaml", Admin: address}.config(&p, slog.New(slog.DiscardHandler))
			refused := strings.Contains(fmt.Sprint(err), "set FLOWBRIDGE_ADMIN_TOKEN, or listen on 127.0.0.1")
			if want := !alone && token == ""; refused != want {
				t.Errorf("--admin %q, token %q: refused is %v, want %v (%v)", address, token, refused, want, err)
			}
		}
	}
}

// TestRulesAreReadAnewThroughTheAPI breaks the rules of a running bridge and mends them.
func TestRulesAreReadAnewThroughTheAPI(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rulesFile := filepath.Join(dir, "rules.yaml")
	writeFile(t, rulesFile, ruleNamed("old"))
	p := start(t, newServices(t, "#ops"), rulesFile, filepath.Join(dir, "bridge.db"))

	reload := func(status int) (answer struct {
		Error    string
		Mistakes []string
		Reloaded bool
	}) {
		t.Helper()
		resp, err := http.Post(p.Admin+"/api/v1/reload", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != status {
			t.Fatalf("%s %+v %v", resp.Status, answer, err)
		}
		return answer
	}
	ready := func() (answer struct {
		Ready bool
		Rules string
	}) {
		t.Helper()
		p.get(t, "/readyz", &answer)
		return answer
	}
	writeFile(t, rulesFile, strings.Replace(ruleNamed("new"), "notify", "notfy", 1))
	answer := reload(http.StatusUnprocessableEntity)
	want := []string{
		rulesFile + `:7:5: rules[0].notfy: unknown key (did you mean "notify"?)`,
	}
	if diff := cmp.Diff(want, answer.Mistakes[len(answer.Mistakes)-1:]); diff != "" || answer.Error == "" {
		t.Errorf("mistakes (-want +got):\n%s", diff)
	}
	// Storage has a second to say that it is there, which a busy machine may not give it.
	eventually(t, "it is ready with the old rules, and says what is wrong with the file", func() bool {
		r := ready()
		return r.Ready && strings.Contains(r.Rules, ":7:5: rules[0].notfy: unknown key")
	})
	writeFile(t, rulesFile, ruleNamed("new"))
	if answer := reload(http.StatusOK); !answer.Reloaded {
		t.Errorf("with a good file: %+v", answer)
	}
	eventually(t, "it is ready, and nothing is wrong", func() bool {
		r := ready()
		return r.Ready && r.Rules == ""
	})
}
