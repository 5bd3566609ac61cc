package whatsapp

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

// thousand is a post of 1,000 updates, the most that Meta puts into one.
func thousand(b testing.TB) []byte {
	changes := make([]string, 1000)
	for i := range changes {
		changes[i] = fmt.Sprintf(
			`{"field":"flows","value":{"event":"ENDPOINT_ERROR_RATE","flow_id":"%d","error_rate":14.28,"threshold":10,"alert_state":"ACTIVATED","errors":[{"error_type":"TIMEOUT","error_rate":66.66,"error_count":2}]}}`, 5000+i)
	}
	return []byte(`{"object":"whatsapp_business_account","entry":[{"id":"501","time":1772438400,"changes":[` +
		strings.Join(changes, ",") + `]}]}`)
}

func BenchmarkDecode(b *testing.B) {
	for _, c := range []struct {
		name string
		body []byte
	}{
		{"one alert", sample(b, Sample{Event: router.EndpointErrorRate})},
		{"one message", sample(b, Sample{Event: SampleMessage})},
		{"1000 alerts", thousand(b)},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(c.body)))
			b.ReportAllocs()
			for b.Loop() {
				Decode(c.body, noon, nil)
			}
		})
	}
}

func BenchmarkOnlyMessages(b *testing.B) {
	body := sample(b, Sample{Event: SampleMessage})
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := onlyIgnored(body, nil); !ok {
			b.Fatal("not seen")
		}
	}
}

// BenchmarkReceive compares a message that nobody wants with the least that a receiver may do, without the cost of
// the network and of net/http, which is many times both.
func BenchmarkReceive(b *testing.B) {
	body := sample(b, Sample{Event: SampleMessage})
	h, err := New(Config{AppSecrets: []router.Secret{secret}, VerifyToken: token, Registerer: prometheus.NewRegistry()},
		&journal{})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		handle http.HandlerFunc
	}{{"bare", bare}, {"unwanted", h.Receive}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			w, content := &answer{header: http.Header{}}, bytes.NewReader(body)
			r, err := http.NewRequest(http.MethodPost, "/", io.NopCloser(content))
			if err != nil {
				b.Fatal(err)
			}
			r.ContentLength = int64(len(body))
			r.Header.Set(signatureHeader, Sign(secret, body))
			for b.Loop() {
				content.Reset(body)
				r.Body = io.NopCloser(content)
				if c.handle(w, r); w.status != 0 {
					b.Fatalf("answered %d", w.status)
				}
			}
		})
	}
}

// bare reads a post and checks its signature.
func bare(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 3<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	sent, err := hex.DecodeString(strings.TrimPrefix(r.Header.Get(signatureHeader), signaturePrefix))
	if err != nil || !hmac.Equal(sent, mac.Sum(nil)) {
		http.Error(w, "bad signature", http.StatusUnauthorized)
	}
}

// answer is a ResponseWriter that costs nothing.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(p []byte) (int, error) { return len(p), nil }
func (a *answer) WriteHeader(status int)      { a.status = status }
