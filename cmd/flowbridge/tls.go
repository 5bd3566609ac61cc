package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// tlsFiles name what an address needs to speak TLS by itself; all "" behind a proxy that does.
type tlsFiles struct {
	Cert, Key string // PEM: the certificate with its chain, and its private key
	ClientCA  string // PEM: who may have signed Meta's client certificate; "" where none is asked for
	admin     bool   // of the admin address, else of the public one
}

// flag names the flag that gave a file.
func (f tlsFiles) flag(what string) string {
	if f.admin {
		return "--admin-tls-" + what
	}
	return "--tls-" + what
}

// metaCommonName is the name in the client certificate that Meta's webhooks present.
// Source: Meta, "Webhooks, mTLS for Webhooks".
const metaCommonName = "client.webhooks.fbclientcerts.com"

const (
	// maxPEM bounds what is read of one file.
	maxPEM = 1 << 20
	// expiresSoon is when a certificate is worth a warning: renewals are usually done long before.
	expiresSoon = 7 * 24 * time.Hour
)

// check says what is missing among the flags.
func (f tlsFiles) check() error {
	switch {
	case (f.Cert == "") != (f.Key == ""):
		return fmt.Errorf("%s and %s go together: give both, or none behind a proxy that ends TLS", f.flag("cert"),
			f.flag("key"))
	case f.ClientCA != "" && f.Cert == "":
		return errors.New(
			"--tls-client-ca needs --tls-cert and --tls-key: behind a proxy it is the proxy that sees client certificates")
	}
	return nil
}

// certificates are those of an address. They are read anew when the files change; what cannot be used
// changes nothing, and is logged once.
type certificates struct {
	files  tlsFiles
	logger *slog.Logger
	now    func() time.Time

	inForce atomic.Pointer[tls.Config]
	expiry  prometheus.Gauge

	fresh freshFiles // looked at with a handshake
}

// newCertificates reads the files.
func newCertificates(files tlsFiles, logger *slog.Logger) (*certificates, error) {
	expiry := prometheus.GaugeOpts{Name: "flowbridge_tls_certificate_expiry_timestamp_seconds",
		Help: "When the certificate of the public address ends."}
	if files.admin {
		expiry = prometheus.GaugeOpts{Name: "flowbridge_admin_tls_certificate_expiry_timestamp_seconds",
			Help: "When the certificate of the admin address ends."}
	}
	c := &certificates{files: files, logger: logger, now: time.Now, expiry: prometheus.NewGauge(expiry)}
	if err := files.check(); err != nil {
		return nil, err
	}
	c.fresh = freshFiles{read: files.read, every: lookEvery, now: func() time.Time { return c.now() }}
	contents, err := c.fresh.first()
	if err != nil {
		return nil, err
	}
	return c, c.use(contents)
}

func (f tlsFiles) read() (contents [][]byte, err error) {
	contents = make([][]byte, 3)
	for i, file := range []struct{ flag, path string }{{f.flag("cert"), f.Cert}, {f.flag("key"), f.Key},
		{f.flag("client-ca"), f.ClientCA}} {
		if file.path == "" {
			continue
		}
		if contents[i], err = readRegular(file.path, maxPEM); err != nil {
			return contents, fmt.Errorf("%s: %w", file.flag, err)
		}
	}
	return contents, nil
}

// use puts what the files hold in force, if it is whole.
func (c *certificates) use(contents [][]byte) error {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return fmt.Errorf("%s %s and %s %s: %w", c.files.flag("cert"), c.files.Cert, c.files.flag("key"), c.files.Key, err)
	}
	cfg := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"h2", "http/1.1"},
	}
	if c.files.ClientCA != "" {
		cfg.ClientCAs = x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM(contents[2]) {
			return fmt.Errorf("--tls-client-ca %s: no certificate in it: give Meta's CA in PEM", c.files.ClientCA)
		}
		cfg.ClientAuth = tls.VerifyClientCertIfGiven // PagerDuty and Slack have none: fromMeta asks where one is needed
	}
	c.inForce.Store(cfg)
	ends := pair.Leaf.NotAfter
	c.expiry.Set(float64(ends.Unix()))
	if left := ends.Sub(c.now()); left < expiresSoon {
		why := "the certificate of the public address must be renewed: Meta refuses one that has ended"
		if c.files.admin {
			why = "the certificate of the admin address must be renewed: browsers and the command line refuse one that has ended"
		}
		c.logger.Warn(why, "ends", ends.UTC(), "file", c.files.Cert)
	}
	return nil
}

// config is that of the server: each handshake gets what is in force then. It is nil without certificates.
func (c *certificates) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			c.fresh.look(c.changed)
			return c.inForce.Load(), nil
		},
	}
}

// ends returns when the certificate in force ends, and its file. It looks at the files first: there may be no
// handshakes.
func (c *certificates) ends() (at time.Time, file string, ok bool) {
	if c == nil {
		return at, "", false
	}
	c.fresh.look(c.changed)
	cfg := c.inForce.Load()
	if cfg == nil || len(cfg.Certificates) == 0 || cfg.Certificates[0].Leaf == nil {
		return at, "", false
	}
	return cfg.Certificates[0].Leaf.NotAfter, c.files.Cert, true
}

func (c *certificates) changed(contents [][]byte, err error) {
	if err == nil {
		err = c.use(contents)
	}
	if err != nil {
		c.logger.Error("the certificate was changed and cannot be used; the old one stays in force", "error", err)
		return
	}
	c.logger.Info("the certificate was read anew", "file", c.files.Cert)
}

// guard lets only those through to next who present Meta's client certificate, if that is asked for. That its chain
// leads to --tls-client-ca was verified in the handshake.
func (c *certificates) guard(next http.Handler, refusals *refusals) http.Handler {
	if c == nil || c.files.ClientCA == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, why := 0, ""
		switch {
		case r.TLS == nil || len(r.TLS.VerifiedChains) == 0:
			status, why = http.StatusUnauthorized, "a client certificate is needed"
		case r.TLS.VerifiedChains[0][0].Subject.CommonName != metaCommonName:
			status, why = http.StatusForbidden, "the client certificate is not Meta's"
		default:
			next.ServeHTTP(w, r)
			return
		}
		refusals.note(refusedCertificate, why)
		http.Error(w, why, status)
	})
}
