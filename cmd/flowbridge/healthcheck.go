package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"
)

type healthcheckCommand struct {
	Admin string `default:"127.0.0.1:9090" env:"FLOWBRIDGE_ADMIN" help:"Admin address of the bridge."`
}

// Run asks a bridge on this machine whether it is ready, for container engines: exit status 0 when it is.
func (c healthcheckCommand) Run(ctx context.Context, p *program) error {
	base, err := p.adminURL(c.Admin)
	if err != nil {
		return wrongUsage("--admin: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return err
	}
	client := newHTTPClient(0)
	if addressIsLoopback(req.URL.Hostname()) {
		// Its certificate is for a name that people use, and it may have ended: that is no reason to end the process. Nobody
		// else answers on this machine, and nothing secret is sent.
		client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", resp.Status)
	}
	return nil
}
