package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
	databases "flowbridge/router/store/storetest"
	"flowbridge/router/whatsapp"
)

const probeRules = `version: 1
flows:
  "77": {name: Checkout, probe: true}
  "78": {name: Refunds}
notifiers:
  chat: {kind: slack, channel: "#ops"}
  page: {kind: pagerduty, routing_key: "%s"}
default: {notify: [chat, page]}
`

// businessEndpoint is the endpoint of a flow, as Meta's example is: it answers pings that it can decrypt and whose
// signature it believes.
type businessEndpoint struct {
	*httptest.Server
	private  *rsa.PrivateKey
	calls    atomic.Int64
	redirect atomic.Pointer[string] // where it sends who asks; nil: it answers
}

func newBusinessEndpoint(t *testing.T) *businessEndpoint {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	e := &businessEndpoint{private: private}
	e.Server = httptest.NewUnstartedServer(e)
	e.Config.ErrorLog = log.New(io.Discard, "", 0)
	e.StartTLS()
	t.Cleanup(e.Close)
	return e
}

func (e *businessEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.calls.Add(1)
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var sent struct {
		Data   []byte `json:"encrypted_flow_data"`
		Key    []byte `json:"encrypted_aes_key"`
		Vector []byte `json:"initial_vector"`
	}
	to := e.redirect.Load()
	switch {
	case to != nil:
		http.Redirect(w, r, *to, http.StatusTemporaryRedirect)
		return
	case r.URL.RequestURI() != "/flow?key=secret" || r.Method != http.MethodPost || err != nil:
		http.NotFound(w, r)
		return
	case r.Header.Get("X-Hub-Signature-256") != whatsapp.Sign(testSecret, body):
		w.WriteHeader(432)
		return
	case json.Unmarshal(body, &sent) != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	key, err := rsa.DecryptOAEP(sha256.New(), nil, e.private, sent.Key, nil)
	if err != nil {
		w.WriteHeader(http.StatusMisdirectedRequest)
		return
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	aead, err := cipher.NewGCMWithNonceSize(block, len(sent.Vector))
	if err != nil {
		panic(err)
	}
	text, err := aead.Open(nil, sent.Vector, sent.Data, nil)
	if err != nil || string(text) != `{"version":"3.0","action":"ping"}` {
		panic(fmt.Sprintf("the ping says %q: %v", text, err))
	}
	for i := range sent.Vector {
		sent.Vector[i] ^= 0xff
	}
	answer := aead.Seal(nil, sent.Vector, []byte(`{"data":{"status":"active"}}`), nil)
	_, _ = io.WriteString(w, base64.StdEncoding.EncodeToString(answer))
}

// key is a file with the public key that was uploaded to Meta.
func (e *businessEndpoint) key(t *testing.T) string {
	t.Helper()
	data, err := x509.MarshalPKIXPublicKey(&e.private.PublicKey)
	must(t, err)
	path := filepath.Join(t.TempDir(), "public.pem")
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: data}), 0o600))
	return path
}

// probed sets a bridge up to probe an endpoint.
func (e *businessEndpoint) probed(t *testing.T, private bool) func(*lookedAfter) {
	key, err := newProbeKey(e.key(t), slog.New(slog.DiscardHandler))
	must(t, err)
	return func(w *lookedAfter) {
		roots := x509.NewCertPool()
		roots.AddCert(e.Certificate())
		w.rules, w.probe = probeRules, probeSettings{Key: key, Private: private, Roots: roots}
	}
}

// minute lets one pass, until the endpoint is called.
func (e *businessEndpoint) minute(w *lookedAfter) {
	w.t.Helper()
	before := e.calls.Load()
	w.push(time.Minute)
	eventually(w.t, "the endpoint is probed", func() bool { return e.calls.Load() > before })
}

// comesToSay waits until the channel says something beside what happened: cards that are only to say more wait for a
// while, so that the clock goes on.
func (w *lookedAfter) comesToSay(words string) {
	w.t.Helper()
	polls := 0
	eventually(w.t, "Slack says "+words, func() bool {
		if polls++; polls%50 == 0 {
			w.push(router.CosmeticEvery + time.Second)
		}
		return strings.Contains(w.all(), words)
	})
}

// availabilityPost is what Meta says of an endpoint that fails.
func availabilityPost(unix int64, flow, state string, value float64) string {
	return postOf(fmt.Sprintf(
		`{"id":"501","time":%d,"changes":[{"field":"flows","value":{"event":"ENDPOINT_AVAILABILITY",`+
			`"flow_id":%q,"availability":%g,"threshold":90,"alert_state":%q}}]}`, unix, flow, value, state))
}

// TestACardSaysWhatIsSeenFromHere plays an incident whose endpoint answers from here, then redirects, and is over.
func TestACardSaysWhatIsSeenFromHere(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	onBoth(t, func(t *testing.T, db string) {
		endpoint, elsewhere := newBusinessEndpoint(t), newBusinessEndpoint(t)
		w := newLookedAfter(t, db, testGraphToken, endpoint.probed(t, true))
		for _, flow := range []string{"77", "78"} {
			w.graph.Flow(flow, "Flow", "PUBLISHED")
			w.graph.Health(flow, "PUBLISHED", endpoint.URL+"/flow?key=secret", sandbox.FlowHealth{})
		}
		w.post(pairPost(w.now().Unix(), "78", "ACTIVATED", 10)) // that nobody has probed
		w.says("10 %")
		w.push(2 * time.Minute)
		w.looks("78", 1)
		if n := endpoint.calls.Load(); n > 0 {
			t.Fatalf("the endpoint was called %d times", n)
		}
		w.post(availabilityPost(w.now().Unix(), "77", "ACTIVATED", 75))
		w.says("75 %")
		w.push(time.Minute)
		w.looks("77", 1) // from then on it is known where the endpoint is
		w.push(time.Minute)
		w.comesToSay("*Endpoint probe:* Meta sees 75 % available, from here 1 probe answered, in ")

		to := elsewhere.URL + "/flow?key=secret"
		endpoint.redirect.Store(&to)
		endpoint.minute(w)
		w.push(9 * time.Minute) // until another line may be written
		endpoint.minute(w)
		w.comesToSay("failed: it redirects (HTTP 307), which is not followed")
		w.post(availabilityPost(w.now().Unix(), "77", "ACTIVATED", 60))
		w.comesToSay("Meta sees 60 % available, from here ")
		if n := elsewhere.calls.Load(); n > 0 {
			t.Errorf("the redirect was followed %d times", n)
		}

		w.post(availabilityPost(w.now().Unix(), "77", "DEACTIVATED", 99))
		w.says("Resolved")
		calls := endpoint.calls.Load()
		asked := len(w.graph.Calls())
		w.push(2 * time.Hour)
		eventually(t, "the bridge goes on", func() bool { return len(w.graph.Calls()) > asked })
		w.stop()
		if n := endpoint.calls.Load(); n != calls {
			t.Errorf("the endpoint was called %d times after the end", n-calls)
		}
		if all := w.all(); strings.Contains(all, "key=secret") || strings.Count(all, "Endpoint probe") > 1 {
			t.Errorf("the channel says %s", all)
		}
		if n := len(w.pager.Incidents()); n != 2 {
			t.Errorf("PagerDuty has %d incidents", n)
		}
	})
}

// TestAnEndpointAtAPrivateAddressIsNotCalled holds that whoever writes addresses at Meta reaches nothing of ours.
func TestAnEndpointAtAPrivateAddressIsNotCalled(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	endpoint := newBusinessEndpoint(t)
	w := newLookedAfter(t, filepath.Join(t.TempDir(), "bridge.db"), "", endpoint.probed(t, false), func(w *lookedAfter) {
		w.rules = strings.Replace(w.rules, "probe: true", fmt.Sprintf("probe: true, endpoint: %q",
			strings.Replace(endpoint.URL, "127.0.0.1", "localhost", 1)+"/flow?key=secret"), 1)
	})
	w.post(availabilityPost(w.now().Unix(), "77", "ACTIVATED", 75))
	w.says("75 %")
	w.push(time.Minute)
	w.comesToSay("Meta sees 75 % available, from here its address is private: " +
		"not called without --probe-private (1 probe)")
	w.stop()
	if n := endpoint.calls.Load(); n > 0 {
		t.Errorf("it was called %d times", n)
	}
}

// TestTheKeyOfProbesIsReadAnew replaces the file, also by one that cannot be used.
func TestTheKeyOfProbesIsReadAnew(t *testing.T) {
	t.Parallel()
	one, two := newBusinessEndpoint(t), newBusinessEndpoint(t)
	path := one.key(t)
	var logged bytes.Buffer
	key, err := newProbeKey(path, slog.New(slog.NewTextHandler(&logged, nil)))
	must(t, err)
	key.file.every = 0
	other, err := os.ReadFile(two.key(t))
	must(t, err)
	for _, step := range []struct {
		file string
		want *rsa.PublicKey
		says string
	}{
		{"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &one.private.PublicKey, "it holds a private key"},
		{string(other), &two.private.PublicKey, "read anew"},
	} {
		must(t, os.WriteFile(path, []byte(step.file), 0o600))
		if !key.now().Equal(step.want) || !strings.Contains(logged.String(), step.says) {
			t.Errorf("%.30q: the log says %s", step.file, logged.String())
		}
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := newProbeKey(path, slog.New(slog.DiscardHandler)); err == nil ||
			!strings.HasPrefix(err.Error(), "--probe-key: ") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
