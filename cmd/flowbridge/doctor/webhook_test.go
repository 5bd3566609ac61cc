package doctor

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/webhook"
	"flowbridge/router/rules"
	databases "flowbridge/router/store/storetest"
)

const testHookSecret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"

func TestTheDoctorLooksWhetherReceiversAreThere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		status int // 0: nobody is there
		want   string
	}{
		{"takes messages", http.StatusMethodNotAllowed, "ok   webhook desk: HOST answers; the secret has the form of one"},
		{"wants none", http.StatusGone, "FAIL webhook desk: HOST answers 410 Gone: it wants no messages"},
		{"is ill", http.StatusBadGateway, "warn webhook desk: HOST answers HTTP 502"},
		{"has moved", http.StatusMovedPermanently, "warn webhook desk: HOST redirects (HTTP 301), which is not followed"},
		{"is away", 0, "FAIL webhook desk: HOST: it cannot be reached"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var asked []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.Method)
				w.WriteHeader(test.status)
			}))
			defer server.Close()
			if test.status == 0 {
				server.Close()
			}
			url := server.URL + "/hooks/hunter2"
			d := plain(Config{Timeout: databases.Patience})
			var err error
			d.rules, err = rules.Load("rules.yaml",
				fmt.Appendf(nil, "version: 1\nnotifiers: {desk: {kind: webhook, url: %q, secret: %q}}\ndefault: {notify: desk}",
					url, testHookSecret), rules.Config{})
			if err != nil {
				t.Fatal(err)
			}
			out := printed(t, d.report(webhook.Examine(t.Context(), d.of(webhook.Kind))))
			got := strings.ReplaceAll(out, strings.TrimPrefix(server.URL, "http://"), "HOST")
			if !strings.HasPrefix(got, test.want) || test.status != 0 && strings.Join(asked, " ") != http.MethodHead {
				t.Errorf("it says %q and asked %v, want %q", got, asked, test.want)
			}
			sandbox.AssertNoSecret(t, []string{testHookSecret, "hunter2"}, got)
		})
	}
}
