package slack

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"flowbridge/notifiers/sandbox"
)

// endless answers every connection with the beginning of an answer, and then with a header that never ends.
func endless(t *testing.T, beginning string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 4<<10))
				_, _ = io.WriteString(conn, beginning)
				for err == nil {
					_, err = io.WriteString(conn, "X-More: "+strings.Repeat("x", 4000)+"\r\n")
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestAHandshakeWithoutAnEndIsGivenUp(t *testing.T) {
	t.Parallel()
	switching := endless(t, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
	proxy := endless(t, "HTTP/1.1 200 Connection established\r\n")
	for name, tt := range map[string]struct{ at, proxy string }{
		"the header of the server": {at: switching},
		"one line without an end":  {at: endless(t, "HTTP/1.1 101 "+strings.Repeat("x", 1<<20))},
		"the answer of a proxy":    {at: "slack.example:443", proxy: proxy},
	} {
		t.Run(name, func(t *testing.T) {
			d := socketDialer()
			d.Proxy = func(*http.Request) (*url.URL, error) {
				if tt.proxy == "" {
					return nil, nil
				}
				return &url.URL{Scheme: "http", Host: tt.proxy}, nil
			}
			_, _, err := d.DialContext(t.Context(), "ws://"+tt.at+"/link", nil)
			if !errors.Is(err, errLongHandshake) {
				t.Errorf("it ends with %v, want %v", err, errLongHandshake)
			}
		})
	}
}

// TestAConnectionThatStandsMayBringMore sends messages that are larger together than a handshake may be.
func TestAConnectionThatStandsMayBringMore(t *testing.T) {
	t.Parallel()
	message := bytes.Repeat([]byte("m"), 60<<10)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for range 10 {
			_ = conn.WriteMessage(websocket.TextMessage, message)
		}
		_, _, _ = conn.ReadMessage() // until the other end has seen them
	})
	for _, secure := range []bool{false, true} {
		server := httptest.NewUnstartedServer(handler)
		d := socketDialer()
		if secure {
			server.StartTLS()
			d.TLSClientConfig = &tls.Config{RootCAs: x509.NewCertPool()}
			d.TLSClientConfig.RootCAs.AddCert(server.Certificate())
		} else {
			server.Start()
		}
		conn, _, err := d.DialContext(t.Context(), strings.Replace(server.URL, "http", "ws", 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, got, err := conn.ReadMessage(); err != nil || !bytes.Equal(got, message) {
				t.Fatalf("with TLS: %t: %d bytes, %v", secure, len(got), err)
			}
		}
		_ = conn.Close()
		server.Close()
	}
}

// TestTheReceiverSaysThatAHandshakeHasNoEnd stands where Slack is, and names such a server.
func TestTheReceiverSaysThatAHandshakeHasNoEnd(t *testing.T) {
	t.Parallel()
	at := endless(t, "HTTP/1.1 101 Switching Protocols\r\n")
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true,"url":"ws://`+at+`/link?ticket=secret"}`)
	}))
	t.Cleanup(api.Close)
	d := newDeskWith(t, func(r *Receiver) { r.clients.url = api.URL + "/" },
		func(_ *sandbox.SlackConfig, cfg *ReceiverConfig) {
			cfg.SigningSecret, cfg.AppToken = "", appToken
		})
	for begun := time.Now(); !strings.Contains(d.log.String(),
		errLongHandshake.Error()); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatalf("the log does not say why:\n%s", &d.log)
		}
	}
	if strings.Contains(d.log.String(), "secret") {
		t.Errorf("the log shows the ticket:\n%s", &d.log)
	}
	d.stopped()
}
