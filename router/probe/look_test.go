package probe

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"flowbridge/router"
)

func TestWhichAddressesAreDialled(t *testing.T) {
	t.Parallel()
	const always, ownNetwork, not = "always", "with --probe-private", "never"
	for ip, want := range map[string]string{
		"1.1.1.1": always, "157.240.1.1": always, "2606:4700::1111": always, "2a03:2880:f12f::1": always,
		"64:ff9b::101:101": always, "2002:101:101::1": always, "::ffff:1.1.1.1": always,
		"10.0.0.1": ownNetwork, "172.16.0.1": ownNetwork, "172.31.255.255": ownNetwork, "192.168.1.1": ownNetwork,
		"127.0.0.1": ownNetwork, "127.8.9.1": ownNetwork, "100.64.0.1": ownNetwork, "::1": ownNetwork,
		"fd00:ec2::254": ownNetwork, "::ffff:10.0.0.1": ownNetwork, "::ffff:127.0.0.1": ownNetwork,
		"64:ff9b::a00:1": ownNetwork, "2002:7f00:1::1": ownNetwork,
		"172.32.0.1": always, "100.128.0.1": always, "11.0.0.1": always,
		"0.0.0.0": not, "::": not, "0.1.2.3": not, "169.254.169.254": not, "::ffff:169.254.169.254": not,
		"64:ff9b::a9fe:a9fe": not, "2002:a9fe:a9fe::1": not, "fe80::1": not, "fe80::1%eth0": not, "fec0::1": not,
		"224.0.0.1": not, "239.1.1.1": not, "255.255.255.255": not, "240.0.0.1": not, "ff02::1": not,
		"192.0.2.1": not, "198.51.100.1": not, "203.0.113.1": not, "198.18.0.1": not, "192.0.0.170": not,
		"2001:db8::1": not, "2001::1": not, "64:ff9b:1::a00:1": not, "::127.0.0.1": not, "::a00:1": not, "100::1": not,
		"2001:10::1": not,
	} {
		at := netip.MustParseAddr(ip)
		got := not
		switch {
		case mayDial(at, false) && mayDial(at, true):
			got = always
		case mayDial(at, true):
			got = ownNetwork
		case mayDial(at, false):
			got = "only without it"
		}
		if got != want {
			t.Errorf("%s is dialled %s, want %s", ip, got, want)
		}
	}
	if mayDial(netip.Addr{}, true) {
		t.Error("no address at all is dialled")
	}
	for _, c := range []struct{ network, address string }{
		{"unix", "/run/x.sock"}, {"udp4", "1.1.1.1:443"}, {"tcp4", "shop.example.com:443"}, {"tcp4", ""},
		{"tcp6", "[fe80::1%eth0]:443"},
	} {
		if control(true)(c.network, c.address, nil) == nil {
			t.Errorf("%s %s is dialled", c.network, c.address)
		}
	}
}

func TestOnlyAddressesOfHTTPSWithoutCredentialsAreCalled(t *testing.T) {
	t.Parallel()
	for address, wrong := range map[string]string{
		"https://shop.example.com/flow?key=1": "", "https://shop.example.com:8443": "", "https://[2a03:2880::1]/": "",
		"http://shop.example.com/flow":                 "its address is no https address: not called",
		"ftp://shop.example.com":                       "its address is no https address: not called",
		"https://u:pw@shop.example.com":                "its address holds a user: not called",
		"https://@shop.example.com":                    "its address holds a user: not called",
		"shop.example.com":                             "its address cannot be read: not called",
		"https://":                                     "its address cannot be read: not called",
		"https://:443/":                                "its address cannot be read: not called",
		"https://a b/":                                 "its address cannot be read: not called",
		"https://x/" + strings.Repeat("x", maxAddress): "its address is too long: not called",
	} {
		u, got := readAddress(router.Secret(address))
		if got != wrong || wrong == "" && u.String() != address {
			t.Errorf("%.40s: %q, want %q", address, got, wrong)
		}
	}
	if u, _ := readAddress("https://shop.example.com/flow#secret"); u.String() != "https://shop.example.com/flow" {
		t.Errorf("%s is called", u)
	}
}

// site is a server with TLS, and who trusts it.
type site struct {
	*httptest.Server
	calls atomic.Int64
	roots *x509.CertPool
}

func newSite(t *testing.T, serve http.HandlerFunc) *site {
	t.Helper()
	s := &site{roots: x509.NewCertPool()}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.calls.Add(1)
		serve(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	s.roots.AddCert(s.Certificate())
	return s
}

// from is who looks at a site: on this machine, so that its address is private.
func from(roots *x509.CertPool, key *rsa.PublicKey) *looker {
	return newLooker(&Config{Private: true, Roots: roots, Timeout: 10 * time.Second, Agent: "flowbridge/test",
		Key: func() *rsa.PublicKey { return key }, Sign: func(body []byte) string { return "sha256=signed" }})
}

// endpointOf is an endpoint as it should be, with the key of the business.
func endpointOf(t *testing.T, private *rsa.PrivateKey) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		switch {
		case err != nil, r.Method != http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		case r.Header.Get("X-Hub-Signature-256") != "sha256=signed":
			w.WriteHeader(432)
			return
		}
		o := open(t, private, body)
		if o == nil {
			w.WriteHeader(http.StatusMisdirectedRequest)
			return
		}
		_, _ = io.WriteString(w, o.answer(`{"data":{"status":"active"}}`, true))
	}
}

func TestWhatAnEndpointAnswers(t *testing.T) {
	t.Parallel()
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "https://127.0.0.1:1/elsewhere")
			w.WriteHeader(code)
		}
	}
	public := &businessKey().PublicKey
	for _, c := range []struct {
		what  string
		key   *rsa.PublicKey
		serve http.HandlerFunc
		want  sight
	}{
		{"a ping, as it should be", public, endpointOf(t, businessKey()), sight{result: active, good: true, status: 200}},
		{"it has another key", &other.PublicKey, endpointOf(t, businessKey()),
			sight{result: undecrypted, words: "it answers HTTP 421: it cannot decrypt, or has another key", status: 421}},
		{"it believes another signature", public, status(432),
			sight{result: unsigned, words: "it answers HTTP 432: it does not believe our signature", status: 432}},
		{"it fails", public, status(500), sight{result: odd, words: "it answers HTTP 500", status: 500}},
		{"it says nothing", public, status(200),
			sight{result: odd, words: "its answer to the ping is no base64", status: 200}},
		{"it is content with less", public, status(204), sight{result: odd, words: "it answers HTTP 204", status: 204}},
		{"it redirects", public, status(307),
			sight{result: redirected, words: "it redirects (HTTP 307), which is not followed", status: 307}},
		{"it talks without an end", public, func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := io.WriteString(w, strings.Repeat("A", 4096)); err != nil {
					return
				}
			}
		}, sight{result: odd, words: "its answer is longer than 64 KiB", status: 200}},
		{"no key, and it wants POST", nil, endpointOf(t, businessKey()), sight{result: reached, good: true, status: 405}},
		{"no key, and it fails", nil, status(503), sight{result: reached, good: true, status: 503}},
		{"no key, and it redirects", nil, status(301), sight{result: redirected, good: true, status: 301}},
		{"it closes the connection", nil, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			sight{result: unreachable, words: "it breaks off without an answer of HTTP"}}, // as HTTP/2 tells it
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, c.serve)
			c.want.pinged = c.key != nil
			got := from(s.roots, c.key).look(t.Context(), router.Secret(s.URL+"/flow?key=1"))
			if got.took <= 0 && got.status != 0 {
				t.Error("it took no time")
			}
			got.took = 0
			if got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if n := s.calls.Load(); n != 1 {
				t.Errorf("it was called %d times", n)
			}
		})
	}
}

func TestWhyThereIsNoAnswer(t *testing.T) {
	t.Parallel()
	ok := func(w http.ResponseWriter, r *http.Request) {}
	good := newSite(t, ok)
	expired, early := newSite(t, ok), newSite(t, ok)
	year := 365 * 24 * time.Hour
	expired.certify(t, time.Now().Add(-2*year), time.Now().Add(-time.Hour), "127.0.0.1")
	early.certify(t, time.Now().Add(time.Hour), time.Now().Add(year), "127.0.0.1")
	named := newSite(t, ok)
	named.certify(t, time.Now().Add(-time.Hour), time.Now().Add(year), "192.168.7.7")
	plain := httptest.NewServer(http.HandlerFunc(ok))
	t.Cleanup(plain.Close)
	old := newSite(t, ok)
	old.TLS.MaxVersion = tls.VersionTLS11
	old.TLS.MinVersion = tls.VersionTLS10

	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for _, c := range []struct {
		what, address string
		roots         *x509.CertPool
		result        result
		words         string
	}{
		{"nobody listens", "https://" + gone.Addr().String(), good.roots, unreachable, "it refuses connections"},
		{"it is no TLS", strings.Replace(plain.URL, "http:", "https:", 1), good.roots, tlsFailed,
			"TLS fails: it speaks no TLS"},
		{"nobody knows who signed it", good.URL, x509.NewCertPool(), tlsFailed,
			"TLS fails: nobody whom we know has signed its certificate, or the chain is not sent whole"},
		{"it is over", expired.URL, expired.roots, tlsFailed, "TLS fails: its certificate has expired"},
		{"it has not begun", early.URL, early.roots, tlsFailed, "TLS fails: its certificate is not valid yet"},
		{"it is another's", named.URL, named.roots, tlsFailed, "TLS fails: its certificate is for another name"},
		{"it speaks an old version alone", old.URL, old.roots, tlsFailed, "TLS fails: protocol version not supported"},
		{"it closes at once", "https://" + slammer(t), good.roots, unreachable,
			"it closes the connection without an answer"},
		{"the name is none", "https://nobody.invalid/", good.roots, unreachable, ""},
		{"http", plain.URL, good.roots, refused, "its address is no https address: not called"},
		{"a user", strings.Replace(good.URL, "https://", "https://u:secret@", 1), good.roots, refused,
			"its address holds a user: not called"},
		{"link-local", "https://169.254.169.254/latest", good.roots, refused,
			"its address is not of the internet: not called"},
	} {
		got := from(c.roots, nil).look(t.Context(), router.Secret(c.address))
		if got.result != c.result || c.words != "" && got.words != c.words || got.words == "" || got.good {
			t.Errorf("%s: %+v, want %s, %q", c.what, got, c.result, c.words)
		}
	}
	for _, s := range []*site{good, expired, early, named, old} {
		if s.calls.Load() > 0 {
			t.Error("a request was sent over a connection that is not to be trusted")
		}
	}
}

// certify has a site show a certificate of its own making, which its roots trust.
func (s *site) certify(t *testing.T, from, to time.Time, address string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	about := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "endpoint"}, NotBefore: from,
		NotAfter: to, IPAddresses: []net.IP{net.ParseIP(address)}, IsCA: true, BasicConstraintsValid: true}
	data, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(data)
	if err != nil {
		t.Fatal(err)
	}
	s.TLS.Certificates = []tls.Certificate{{Certificate: [][]byte{data}, PrivateKey: key}}
	s.roots = x509.NewCertPool()
	s.roots.AddCert(made)
}

// slammer is the address of a server that closes every connection.
func slammer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

func TestAPrivateAddressIsNotDialledUnlessThatIsAllowed(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(http.ResponseWriter, *http.Request) {})
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	l := newLooker(&Config{Roots: s.roots, Timeout: 10 * time.Second, Key: func() *rsa.PublicKey { return nil }})
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433"} {
		if host == "2130706433" && testing.Short() { // asks the system's resolver
			continue
		}
		got := l.look(t.Context(), router.Secret("https://"+host+":"+port))
		if got.result != refused && host != "2130706433" || got.good {
			t.Errorf("%s: %+v", host, got)
		}
	}
	if n := s.calls.Load(); n > 0 {
		t.Errorf("it was called %d times", n)
	}
}

func TestAnEndpointThatDoesNotAnswerIsGivenUp(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the time-out")
	}
	t.Parallel()
	for what, serve := range map[string]http.HandlerFunc{
		"no header": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"no end of the body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "A")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, serve)
			l := from(s.roots, &businessKey().PublicKey)
			l.timeout = time.Second
			if got := l.look(t.Context(), router.Secret(s.URL)); got.result != timedOut || got.good ||
				!strings.HasPrefix(got.words, "no answer in ") {
				t.Errorf("got %+v", got)
			}
		})
	}
	s := newSite(t, func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := from(s.roots, nil).look(ctx, router.Secret(s.URL)); got.good {
		t.Errorf("cut short: %+v", got)
	}
}

func TestAProbeCarriesNothingButItsSignature(t *testing.T) {
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // would be dialled in its place
	t.Setenv("https_proxy", "http://127.0.0.1:1")
	headers := make(chan http.Header, 2)
	s := newSite(t, func(w http.ResponseWriter, r *http.Request) {
		headers <- r.Header.Clone()
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
	})
	l := from(s.roots, nil)
	for range 2 {
		if got := l.look(t.Context(), router.Secret(s.URL)); !got.good {
			t.Fatalf("%+v", got)
		}
		got := <-headers
		if got.Get("User-Agent") != "flowbridge/test" || len(got) != 1 {
			t.Errorf("it carries %v", got)
		}
	}
}
