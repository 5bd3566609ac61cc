package main

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"flowbridge/router"
	"flowbridge/router/graph"
)

// ownSecret is one of the bridge's own credentials, by the name of its variable.
type ownSecret struct {
	name    string
	several bool   // with commas between them, for rotation
	prefix  string // that it must have; "" for none
	sent    bool   // to a service, which refuses the old one: it is read for each call
	least   int    // characters that it must have
}

// graphToken is the variable of the access token for Meta's Graph API.
const graphToken = "META_ACCESS_TOKEN"

// ownSecrets lists them.
func ownSecrets() []ownSecret {
	return []ownSecret{
		{name: "META_APP_SECRET", several: true}, {name: "META_VERIFY_TOKEN"},
		{name: "SLACK_BOT_TOKEN", sent: true}, {name: "SLACK_SIGNING_SECRET"}, {name: "SLACK_APP_TOKEN", prefix: "xapp-",
			sent: true},
		{name: "PAGERDUTY_API_TOKEN", sent: true}, {name: "PAGERDUTY_WEBHOOK_SECRET", several: true},
		{name: graphToken, sent: true}, {name: adminToken}, {name: viewToken},
	}
}

// secretFile is an own secret that is given as a file (NAME_FILE). It is read anew when the file changes; what cannot
// be used changes nothing, and is logged once.
type secretFile struct {
	ownSecret
	path    string
	logger  *slog.Logger
	file    freshFiles
	inForce atomic.Pointer[[]router.Secret]
}

// newSecretFile reads it for the first time.
func newSecretFile(secret ownSecret, path string, logger *slog.Logger) (*secretFile, error) {
	s := &secretFile{ownSecret: secret, path: path, logger: logger}
	s.file = freshFiles{now: time.Now, every: lookEvery, read: func() ([][]byte, error) {
		data, err := readRegular(path, maxSecretFile)
		return [][]byte{data}, err
	}}
	if secret.sent {
		s.file.every = 0
	}
	contents, err := s.file.first()
	if err != nil {
		return nil, fmt.Errorf("%s_FILE: %w", s.name, err)
	}
	parts, err := s.parts(contents[0])
	if err != nil {
		return nil, fmt.Errorf("%s_FILE: %s %w", s.name, path, err)
	}
	s.inForce.Store(&parts)
	return s, nil
}

// parts reads what the file holds. Its errors go behind the path.
func (s *secretFile) parts(data []byte) ([]router.Secret, error) {
	whole := strings.TrimSpace(string(data))
	if whole == "" {
		return nil, errNoSecret
	}
	if !strings.HasPrefix(whole, s.prefix) {
		return nil, fmt.Errorf("does not begin with %s", s.prefix)
	}
	if n := utf8.RuneCountInString(whole); n < s.least {
		return nil, fmt.Errorf("holds %d characters, and needs %d: %s", n, s.least, makeToken)
	}
	parts := []router.Secret{router.Secret(whole)}
	if s.several {
		parts = split(whole)
	}
	if at := slices.Index(parts, ""); at >= 0 {
		return nil, fmt.Errorf("holds %d secrets, and number %d is empty: check the commas", len(parts), at+1)
	}
	return parts, nil
}

// errNoSecret refuses what would let everybody in, or nobody.
var errNoSecret = errors.New("holds nothing: write the secret into it")

func (s *secretFile) changed(contents [][]byte, err error) {
	var parts []router.Secret
	if err == nil {
		if parts, err = s.parts(contents[0]); err != nil {
			err = &fileError{s.path, err}
		}
	}
	switch {
	case err != nil:
		s.logger.Error("a secret was changed and cannot be used; the old one stays in force", "secret", s.name+"_FILE",
			"error", err)
	case !slices.Equal(parts, *s.inForce.Load()): // else only white space, or it was gone for a moment
		s.inForce.Store(&parts)
		s.logger.Info("a secret was read anew", "secret", s.name+"_FILE")
	}
}

// all returns the secrets in force.
func (s *secretFile) all() []router.Secret {
	s.file.look(s.changed)
	return *s.inForce.Load()
}

// one returns the secret in force, of one that has only one.
func (s *secretFile) one() router.Secret { return s.all()[0] }

// secretFiles are the own secrets that are given as files, by name. The nil map has none.
type secretFiles map[string]*secretFile

// secretFiles reads those of them that the environment names.
func (p *program) secretFiles(logger *slog.Logger) (secretFiles, error) {
	files := secretFiles{}
	var faults []error
	for _, secret := range ownSecrets() {
		if path := p.setting(secret.name + "_FILE"); path != "" {
			var err error
			files[secret.name], err = newSecretFile(secret, path, logger)
			faults = append(faults, err)
		}
	}
	return files, errors.Join(faults...)
}

// readSecrets reads the bridge's own secrets, and says what of them is missing.
func (cfg *bridgeConfig) readSecrets(p *program) error {
	var faults []error
	one := func(name string) router.Secret {
		s, err := p.secret(name)
		faults = append(faults, err)
		return s
	}
	var err error
	cfg.AppSecrets, err = p.secrets("META_APP_SECRET")
	faults = append(faults, err)
	cfg.VerifyToken = one("META_VERIFY_TOKEN")
	cfg.GraphToken, cfg.GraphURL = one(graphToken), p.setting("META_GRAPH_URL")
	if _, err := graph.Address(cfg.GraphURL); err != nil {
		faults = append(faults, err)
	}
	cfg.SlackToken = one("SLACK_BOT_TOKEN")
	cfg.SlackBack, err = p.slackBack(cfg.SlackToken)
	faults = append(faults, err)
	cfg.AdminToken, cfg.ViewToken = one(adminToken), one(viewToken)
	cfg.PagerDutyBack, err = p.pagerDutyBack()
	faults = append(faults, err)
	if len(cfg.AppSecrets) == 0 {
		faults = append(faults, errors.New(
			"META_APP_SECRET is not set: without it no webhook can be verified (Meta: App settings, Basic, App secret)"))
	}
	if cfg.VerifyToken == "" {
		faults = append(faults, errors.New(
			"META_VERIFY_TOKEN is not set: choose a long random word and give the same one to Meta's dashboard"))
	}
	if errors.Join(faults...) == nil { // else it would say the same again
		cfg.SecretFiles, err = p.secretFiles(cfg.Logger)
		faults = append(faults, err)
	}
	return errors.Join(faults...)
}

// one returns what returns a secret as it is in force; nil for one that never changes.
func (f secretFiles) one(name string) func() router.Secret {
	if s := f[name]; s != nil {
		return s.one
	}
	return nil
}

// all is one for a credential of which there may be several.
func (f secretFiles) all(name string) func() []router.Secret {
	if s := f[name]; s != nil {
		return s.all
	}
	return nil
}
