package main

import (
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
	"flowbridge/router/probe"
	"flowbridge/router/whatsapp"
)

// probeSettings are how endpoints of flows are probed, where the rules want that.
type probeSettings struct {
	Key     *probeKey      // with which pings are encrypted; nil: TLS and HTTP alone are looked at
	Private bool           // addresses of one's own network may be called
	Roots   *x509.CertPool // who may have signed certificates; nil: whom the system trusts
}

// probeKey is the public key of the business, in a file. It is read anew when the file changes; what cannot be used
// changes nothing, and is logged once.
type probeKey struct {
	path    string
	logger  *slog.Logger
	file    freshFiles
	inForce atomic.Pointer[rsa.PublicKey]
}

// newProbeKey reads the file.
func newProbeKey(path string, logger *slog.Logger) (*probeKey, error) {
	k := &probeKey{path: path, logger: logger}
	k.file = freshFiles{now: time.Now, every: lookEvery, read: func() ([][]byte, error) {
		data, err := readRegular(path, maxPEM)
		return [][]byte{data}, err
	}}
	contents, err := k.file.first()
	if err != nil {
		return nil, fmt.Errorf("--probe-key: %w", err)
	}
	key, err := probe.ParseKey(contents[0])
	if err != nil {
		return nil, fmt.Errorf("--probe-key %s: %w", path, err)
	}
	k.inForce.Store(key)
	return k, nil
}

// now returns the key in force.
func (k *probeKey) now() *rsa.PublicKey {
	k.file.look(k.changed)
	return k.inForce.Load()
}

func (k *probeKey) changed(contents [][]byte, err error) {
	var key *rsa.PublicKey
	if err == nil {
		key, err = probe.ParseKey(contents[0])
	}
	if err != nil {
		k.logger.Error("the key of --probe-key was changed and cannot be used; the old one stays in force", "file", k.path,
			"error", err)
		return
	}
	k.inForce.Store(key)
	k.logger.Info("the key of --probe-key was read anew", "file", k.path)
}

// wireProbes makes what looks at endpoints of flows itself. Where an endpoint is comes from the rules, else from what
// Graph said at the last look at the flow.
func (b *bridge) wireProbes(metrics *prometheus.Registry) (err error) {
	secrets := b.cfg.SecretFiles.all("META_APP_SECRET")
	if secrets == nil {
		secrets = func() []router.Secret { return b.cfg.AppSecrets }
	}
	cfg := probe.Config{
		Wanted:  func() bool { return b.rules.rules().Probes() },
		Probe:   func(flow router.FlowID) (string, bool) { return b.rules.rules().Probe(flow) },
		Sign:    func(body []byte) string { return whatsapp.Sign(secrets()[0], body) },
		Private: b.cfg.Probe.Private, Roots: b.cfg.Probe.Roots, Agent: "flowbridge/" + version(),
		Now: b.cfg.Now, Logger: b.cfg.Logger, Registerer: metrics,
	}
	if b.graph != nil {
		cfg.Endpoint = b.graph.Endpoint
	}
	if b.cfg.Probe.Key != nil {
		cfg.Key = b.cfg.Probe.Key.now
	}
	b.prober, err = probe.New(cfg, b.store)
	return err
}
