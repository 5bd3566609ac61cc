package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/whatsapp"
)

// authority signs certificates of the test.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour),
		IsCA:     true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.key = a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	a.must(err)
	a.cert, err = x509.ParseCertificate(der)
	a.must(err)
	return a
}

func (a *authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	return key
}

// issue makes a certificate for a name, and returns it and its key in PEM.
func (a *authority) issue(name string, ends time.Duration) (cert, key []byte) {
	a.t.Helper()
	a.last++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(100 + a.last), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter:    time.Now().Add(ends),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth,
			x509.ExtKeyUsageClientAuth},
	}
	private := a.newKey()
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, private.Public(), a.key)
	a.must(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	a.must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

func (a *authority) client(name string) *tls.Certificate {
	cert, key := a.issue(name, time.Hour)
	pair, err := tls.X509KeyPair(cert, key)
	a.must(err)
	return &pair
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) write(path string, content []byte) string {
	a.t.Helper()
	a.must(os.WriteFile(path, content, 0o600))
	return path
}

// tlsBridge is a whole bridge whose public address speaks TLS.
type tlsBridge struct {
	ca      *authority // of its own certificate
	url     string
	files   tlsFiles
	log     *logBuffer
	mu      sync.Mutex
	seconds int64 // that its clock is ahead: the files are looked at once a second
}

func newTLSBridge(t *testing.T, clientCA []byte) *tlsBridge {
	t.Helper()
	dir := t.TempDir()
	b := &tlsBridge{ca: newAuthority(t, "CA of the bridge"), log: &logBuffer{}}
	cert, key := b.ca.issue("first", 20*24*time.Hour)
	b.files = tlsFiles{Cert: b.ca.write(filepath.Join(dir, "tls.crt"), cert),
		Key: b.ca.write(filepath.Join(dir, "tls.key"), key)}
	if clientCA != nil {
		b.files.ClientCA = b.ca.write(filepath.Join(dir, "ca.crt"), clientCA)
	}
	logger := slog.New(slog.NewTextHandler(b.log, nil))
	certificates, err := newCertificates(b.files, logger)
	b.ca.must(err)
	certificates.now = func() time.Time {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.seconds += 2
		return time.Now().Add(time.Duration(b.seconds) * time.Second)
	}
	loaded, err := rules.Load("rules.yaml",
		[]byte(
			"version: 1\nnotifiers: {page: {kind: pagerduty, routing_key: \"0123456789abcdef0123456789abcdef\"}}\ndefault: "+
				"{notify: [page]}\n"), rules.Config{})
	b.ca.must(err)
	ctx, stop := context.WithCancel(context.Background())
	whole, err := newBridge(ctx, bridgeConfig{
		Rules: loaded, DB: filepath.Join(dir, "bridge.db"), Certificates: certificates, Logger: logger,
		AppSecrets: []router.Secret{testSecret}, VerifyToken: "a verify token", PagerDutyURL: "http://127.0.0.1:1",
	})
	b.ca.must(err)
	public, err := net.Listen("tcp", "127.0.0.1:0")
	b.ca.must(err)
	admin, err := net.Listen("tcp", "127.0.0.1:0")
	b.ca.must(err)
	b.url = "https://" + public.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- whole.run(ctx, public, admin) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return b
}

// call makes a request over a new connection. It returns the status and whose certificate was seen, 0 and "" where
// the handshake failed.
func (b *tlsBridge) call(t *testing.T, method, path string, client *tls.Certificate) (status int, name string) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(b.ca.cert)
	cfg := &tls.Config{RootCAs: roots}
	if client != nil {
		// Whether or not the server knows who signed it.
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return client, nil }
	}
	transport := &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	body := []byte("{}")
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+path, bytes.NewReader(body))
	b.ca.must(err)
	req.Header.Set("X-Hub-Signature-256", whatsapp.Sign(testSecret, body))
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Logf("%s %s: %v", method, path, err)
		return 0, ""
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.TLS.PeerCertificates[0].Subject.CommonName
}

const handshakePath = "/webhooks/whatsapp?hub.mode=subscribe&hub.challenge=1&hub.verify_token=a+verify+token"

func TestWebhooksComeOverTLS(t *testing.T) {
	t.Parallel()
	b := newTLSBridge(t, nil)
	for _, c := range []struct{ method, path string }{{http.MethodPost, "/webhooks/whatsapp"},
		{http.MethodGet, handshakePath}} {
		if status, name := b.call(t, c.method, c.path, nil); status != http.StatusOK || name != "first" {
			t.Errorf("%s: answered %d by %q", c.method, status, name)
		}
	}
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", strings.TrimPrefix(b.url, "https://"), old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
	plain, err := http.Get("http" + strings.TrimPrefix(b.url, "https") + handshakePath)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Body.Close()
	if plain.StatusCode != http.StatusBadRequest {
		t.Errorf("without TLS it answers %s", plain.Status)
	}
}

func TestACertificateThatChangesIsInForceWithTheNextHandshake(t *testing.T) {
	t.Parallel()
	b := newTLSBridge(t, nil)
	presented := func(want string) {
		t.Helper()
		if status, name := b.call(t, http.MethodPost, "/webhooks/whatsapp", nil); status != http.StatusOK || name != want {
			t.Errorf("answered %d by %q, want %q", status, name, want)
		}
	}
	presented("first")
	cert, key := b.ca.issue("second", 20*24*time.Hour)
	b.ca.write(b.files.Cert, cert) // half of it: the pair does not fit yet
	presented("first")
	presented("first")
	if n := strings.Count(b.log.String(), "cannot be used; the old one stays in force"); n != 1 {
		t.Errorf("the log speaks %d times of what cannot be used, want once:\n%s", n, b.log)
	}
	b.ca.write(b.files.Key, key)
	presented("second")
	b.ca.must(os.Remove(b.files.Key))
	presented("second")
	b.ca.write(b.files.Key, key)
	presented("second")
	cert, key = b.ca.issue("third", time.Hour)
	b.ca.write(b.files.Key, key)
	b.ca.write(b.files.Cert, cert)
	presented("third")
	if !strings.Contains(b.log.String(), "the certificate of the public address must be renewed") {
		t.Errorf("nothing warns of a certificate that ends in an hour:\n%s", b.log)
	}
	if strings.Contains(b.log.String(), "PRIVATE KEY") {
		t.Error("a key is in the log")
	}
}

func TestOnlyMetaMayCallWhereItsClientCertificateIsAskedFor(t *testing.T) {
	t.Parallel()
	meta, other := newAuthority(t, "CA of Meta"), newAuthority(t, "another CA")
	b := newTLSBridge(t, meta.pem())
	for _, c := range []struct {
		name         string
		client       *tls.Certificate
		webhook, any int // status of Meta's route, and of another; 0: the handshake fails
	}{
		{"Meta", meta.client(metaCommonName), http.StatusOK, http.StatusNotFound},
		{"somebody without a certificate", nil, http.StatusUnauthorized, http.StatusNotFound},
		{"somebody else whom Meta's CA knows", meta.client("client.example.com"), http.StatusForbidden, http.StatusNotFound},
		{"somebody who signed Meta's name himself", other.client(metaCommonName), 0, 0},
	} {
		for _, route := range []struct {
			method, path string
			want         int
		}{
			{http.MethodPost, "/webhooks/whatsapp", c.webhook},
			{http.MethodGet, handshakePath, c.webhook},
			{http.MethodPost, "/nothing/here", c.any},
		} {
			if status, _ := b.call(t, route.method, route.path, c.client); status != route.want {
				t.Errorf("%s: %s %s is answered %d, want %d", c.name, route.method, route.path, status, route.want)
			}
		}
	}
	b.ca.write(b.files.ClientCA, other.pem()) // Meta's CA has changed
	if status, _ := b.call(t, http.MethodPost, "/webhooks/whatsapp",
		other.client(metaCommonName)); status != http.StatusOK {
		t.Errorf("with the new CA it answers %d", status)
	}
	if n := strings.Count(b.log.String(), "refused for its client certificate"); n != 1 {
		t.Errorf("the log speaks of refusals %d times, want once in ten seconds:\n%s", n, b.log)
	}
}

func TestWhatIsWrongWithTheFilesIsSaidAtTheStart(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "CA")
	dir := t.TempDir()
	cert, key := ca.issue("bridge", time.Hour)
	_, strange := ca.issue("other", time.Hour)
	file := func(name string, content []byte) string { return ca.write(filepath.Join(dir, name), content) }
	good := tlsFiles{Cert: file("tls.crt", cert), Key: file("tls.key", key)}
	for _, c := range []struct {
		files tlsFiles
		want  string
	}{
		{tlsFiles{Cert: good.Cert}, "--tls-cert and --tls-key go together"},
		{tlsFiles{Key: good.Key}, "--tls-cert and --tls-key go together"},
		{tlsFiles{ClientCA: good.Cert}, "--tls-client-ca needs --tls-cert and --tls-key"},
		{tlsFiles{Cert: dir + "/none", Key: good.Key}, "--tls-cert: "},
		{tlsFiles{Cert: good.Cert, Key: dir}, "is a folder"},
		{tlsFiles{Cert: good.Cert, Key: file("other.key", strange)}, "private key does not match public key"},
		{tlsFiles{Cert: good.Key, Key: good.Cert}, "--tls-cert " + good.Key},
		{tlsFiles{Cert: good.Cert, Key: good.Key, ClientCA: good.Key}, "no certificate in it"},
	} {
		_, err := newCertificates(c.files, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "PRIVATE KEY-") {
			t.Errorf("%+v: got %v, want %s", c.files, err, c.want)
		}
	}
}
