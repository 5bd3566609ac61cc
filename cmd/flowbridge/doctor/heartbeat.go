package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// checkHeartbeat looks whether a call of the heartbeat could get through, and makes none: a call is a beat, and would
// say that a bridge lives. So it resolves the name, connects and shakes hands. The path of the address, which is
// mostly a secret, is not shown.
func (d *Doctor) checkHeartbeat(ctx context.Context) []diagnosis {
	const name = "heartbeat"
	if d.cfg.Heartbeat == "" {
		return nil
	}
	u, err := url.Parse(d.cfg.Heartbeat)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return []diagnosis{fail(name, "--heartbeat is no http or https address",
			"give the URL that the dead man's switch shows")}
	}
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	if proxy := d.proxyOf(u); proxy != nil {
		if err := d.reach(ctx, proxy, false); err != nil {
			seen, _ := d.unreached(err)
			return []diagnosis{fail(name, u.Host+" goes through the proxy "+proxy.Host+": "+seen,
				"look at HTTPS_PROXY and HTTP_PROXY, or name the host in NO_PROXY")}
		}
		return []diagnosis{fine(name, "%s goes through the proxy %s, which can be reached; "+notCalled, u.Host, proxy.Host)}
	}
	if err := d.reach(ctx, u, u.Scheme == "https"); err != nil {
		seen, do := d.unreached(err)
		return []diagnosis{fail(name, u.Host+": "+seen, do)}
	}
	if u.Scheme == "http" && !net.ParseIP(u.Hostname()).IsLoopback() && u.Hostname() != "localhost" {
		return []diagnosis{warn(name, u.Host+" can be reached, and is called without TLS: who listens learns the address",
			"write https:// where the dead man's switch takes it")}
	}
	return []diagnosis{fine(name, "%s can be reached; "+notCalled, u.Host)}
}

const notCalled = "it is not called, since that would be a beat"

// proxyOf returns the proxy that a call goes through, or nil.
func (d *Doctor) proxyOf(u *url.URL) *url.URL {
	transport, ok := d.cfg.Transport.(*http.Transport)
	if !ok || transport.Proxy == nil {
		return nil
	}
	proxy, err := transport.Proxy(&http.Request{URL: u})
	if err != nil {
		return nil
	}
	return proxy
}

// reach connects, and with TLS shakes hands, as a call would.
func (d *Doctor) reach(ctx context.Context, u *url.URL, secure bool) error {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	defer conn.Close()
	if !secure {
		return nil
	}
	settings := &tls.Config{}
	if transport, ok := d.cfg.Transport.(*http.Transport); ok && transport.TLSClientConfig != nil {
		settings = transport.TLSClientConfig.Clone()
	}
	settings.ServerName, settings.NextProtos = u.Hostname(), nil
	return tls.Client(conn, settings).HandshakeContext(ctx)
}

// unreached says what went wrong on the wire, without the address, and what a person can do about it.
func (d *Doctor) unreached(err error) (seen, do string) {
	unknown, named := errors.AsType[*net.DNSError](err)
	op, dialled := errors.AsType[*net.OpError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	switch {
	case named && !unknown.IsTimeout:
		return "its name is not known (" + unknown.Err + ")",
			"compare --heartbeat with the URL that the dead man's switch shows, and look at this machine's DNS"
	case untrusted:
		return d.unanswered(err).Error(),
			"have its certificate renewed, or its authority trusted by this machine (SSL_CERT_FILE)"
	case plain:
		return "it does not speak TLS there", "compare --heartbeat with the URL that the dead man's switch shows"
	case dialled && op.Op == "dial" && !op.Timeout():
		return fmt.Sprintf("it cannot be reached (%v)", op.Err), letThrough
	}
	return d.unanswered(err).Error(), letThrough
}

const letThrough = "let this machine reach it: look at firewalls and network policies between them"
