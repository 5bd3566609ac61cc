package doctor

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox"
	databases "flowbridge/router/store/storetest"
)

// TestTheDoctorReachesTheHeartbeatAndDoesNotBeat holds that a dead man's switch hears nothing of the doctor.
func TestTheDoctorReachesTheHeartbeatAndDoesNotBeat(t *testing.T) {
	t.Parallel()
	beats := 0
	switched := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { beats++ }))
	switched.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that break off
	switched.StartTLS()
	defer switched.Close()
	plainly := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { beats++ }))
	defer plainly.Close()
	const nobody = "127.0.0.1:1"
	trusting := switched.Client().Transport.(*http.Transport).Clone()
	through := func(address string) *http.Transport {
		proxied := trusting.Clone()
		proxied.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: strings.TrimPrefix(address, "http://")})
		return proxied
	}
	for _, test := range []struct {
		name, address string
		transport     http.RoundTripper
		want          string
	}{
		{"none", "", trusting, ""},
		{"is there", switched.URL, trusting,
			"ok   heartbeat: HOST can be reached; it is not called, since that would be a beat"},
		{"is on this machine", plainly.URL, trusting, "ok   heartbeat: HOST can be reached"},
		{"is not trusted", switched.URL, http.DefaultTransport,
			"FAIL heartbeat: HOST: its certificate does not verify"},
		{"is no TLS", strings.Replace(plainly.URL, "http:", "https:", 1), trusting,
			"FAIL heartbeat: HOST: it does not speak TLS there -> compare --heartbeat"},
		{"is away", "http://" + nobody, trusting, "FAIL heartbeat: HOST: it cannot be reached"},
		{"has no name", "https://there-is-no-such-host.invalid", trusting,
			"FAIL heartbeat: there-is-no-such-host.invalid: its name is not known"},
		{"is no address", "hc-ping.com", trusting, "FAIL heartbeat: --heartbeat is no http or https address"},
		{"is a file", "file:///etc", trusting, "FAIL heartbeat: --heartbeat is no http or https address"},
		{"is behind a proxy", "https://hc-ping.invalid", through(plainly.URL),
			"ok   heartbeat: hc-ping.invalid goes through the proxy HOST, which can be reached"},
		{"is behind a proxy that is away", "https://hc-ping.invalid", through(nobody),
			"FAIL heartbeat: hc-ping.invalid goes through the proxy HOST: it cannot be reached"},
	} {
		t.Run(test.name, func(t *testing.T) {
			address := test.address
			if address != "" {
				address += "/hunter2?key=hunter2"
			}
			d := plain(Config{Timeout: databases.Patience, Heartbeat: address})
			d.cfg.Transport = test.transport
			got := printed(t, d.report(d.checkHeartbeat(t.Context())))
			for _, host := range []string{switched.URL, plainly.URL, "http://" + nobody} {
				_, host, _ = strings.Cut(host, "://")
				got = strings.ReplaceAll(got, host, "HOST")
			}
			if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
				t.Errorf("it says %q, want %q", got, test.want)
			}
			sandbox.AssertNoSecret(t, []string{"hunter2"}, got)
		})
	}
	if beats > 0 {
		t.Errorf("the heartbeat was called %d times", beats)
	}
}
