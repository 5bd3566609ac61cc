package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"flowbridge/router"
)

// minToken is how many characters a token must have where other machines can try some: `openssl rand -hex 16` makes 32.
const minToken = 20

// adminGuard are the flags of serve that say who may use the admin address, and how.
type adminGuard struct {
	AdminUserHeader     string   `env:"FLOWBRIDGE_ADMIN_USER_HEADER" placeholder:"NAME" help:"Header in which a proxy names the person whom it has signed in, who may then do everything."`
	AdminTrustedProxies []string `env:"FLOWBRIDGE_ADMIN_TRUSTED_PROXIES" placeholder:"ADDRESS" help:"Addresses and networks (10.0.0.0/24) of proxies whose header counts, with commas."`
	AdminPrefix         string   `env:"FLOWBRIDGE_ADMIN_PREFIX" placeholder:"PATH" help:"Path below which a proxy shows the console, such as /flowbridge."`
	AdminTLSCert        string   `name:"admin-tls-cert" env:"FLOWBRIDGE_ADMIN_TLS_CERT" placeholder:"FILE" help:"Certificate of the admin address, with its chain, in PEM."`
	AdminTLSKey         string   `name:"admin-tls-key" env:"FLOWBRIDGE_ADMIN_TLS_KEY" placeholder:"FILE" help:"Its private key, in PEM."`
}

// into checks the flags and puts them into a configuration.
func (g adminGuard) into(cfg *bridgeConfig, logger *slog.Logger) error {
	var proxyFault, tlsFault error
	cfg.UserHeader = http.CanonicalHeaderKey(strings.TrimSpace(g.AdminUserHeader))
	cfg.TrustedProxies, proxyFault = trustedProxies(g.AdminTrustedProxies)
	if files := (tlsFiles{Cert: g.AdminTLSCert, Key: g.AdminTLSKey, admin: true}); files.Cert != "" || files.Key != "" {
		cfg.AdminCertificates, tlsFault = newCertificates(files, logger)
	}
	switch {
	case proxyFault != nil:
	case cfg.UserHeader != "" && len(cfg.TrustedProxies) == 0:
		proxyFault = errors.New("--admin-user-header needs --admin-trusted-proxies: else anybody could write the header")
	}
	cfg.Prefix = strings.TrimRight(g.AdminPrefix, "/")
	return errors.Join(proxyFault, checkPrefix(cfg.Prefix), tlsFault)
}

// prefixForm is what a prefix may be: parts of a path that need no escapes, none of which is . or ..
var prefixForm = regexp.MustCompile(`^(/[A-Za-z0-9_-][A-Za-z0-9_.-]*){1,5}$`)

func checkPrefix(prefix string) error {
	if prefix != "" && (len(prefix) > 100 || !prefixForm.MatchString(prefix)) {
		return fmt.Errorf("--admin-prefix: %q is no path such as /flowbridge", prefix)
	}
	return nil
}

// consoleURL is where people reach the console: --public-url may name the prefix, or leave it to --admin-prefix.
func consoleURL(publicURL, prefix string) string {
	publicURL = strings.TrimRight(publicURL, "/")
	if u, err := url.Parse(publicURL); err == nil && u.Path == prefix {
		return publicURL
	}
	return publicURL + prefix
}

// trustedProxies reads addresses and networks.
func trustedProxies(list []string) (proxies []netip.Prefix, err error) {
	var faults []error
	for _, one := range list {
		if one = strings.TrimSpace(one); one == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(one)
		if addr, notAddr := netip.ParseAddr(one); notAddr == nil {
			prefix, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		switch {
		case err != nil:
			faults = append(faults, fmt.Errorf(
				"--admin-trusted-proxies: %q is neither an address nor a network, such as 10.0.0.7 or 10.0.0.0/24", one))
		case prefix.Bits() == 0:
			faults = append(faults, fmt.Errorf("--admin-trusted-proxies: %s is everybody: name the addresses of the proxies",
				one))
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, errors.Join(faults...)
}

// checkTokens says what is wrong with the tokens of an admin address.
func (cfg *bridgeConfig) checkTokens(admin string) error {
	far := !loopback(admin)
	for _, name := range []string{adminToken, viewToken} {
		if file := cfg.SecretFiles[name]; file != nil && far {
			file.least = minToken // of what it holds later, too
		}
	}
	var faults []error
	// a URL, meant for other commands, is said to be none
	if far && cfg.AdminToken == "" && !strings.Contains(admin, "://") {
		faults = append(faults, fmt.Errorf(
			"--admin %s can be reached from other machines: set FLOWBRIDGE_ADMIN_TOKEN, or listen on 127.0.0.1", admin))
	}
	for _, f := range []tokenFault{judgeToken(adminToken, cfg.AdminToken, far), judgeToken(viewToken, cfg.ViewToken, far),
		judgeViewToken(cfg.AdminToken, cfg.ViewToken)} {
		if f.seen != "" {
			faults = append(faults, errors.New(f.seen+": "+f.do))
		}
	}
	return errors.Join(faults...)
}

const (
	adminToken = "FLOWBRIDGE_ADMIN_TOKEN"
	viewToken  = "FLOWBRIDGE_VIEW_TOKEN"
	makeToken  = "make one with openssl rand -hex 16"
)

// tokenFault is what is wrong with a token, and what to do about it; the zero one is nothing.
type tokenFault struct{ seen, do string }

// judgeToken finds a token that other machines might guess; far says that they can try.
func judgeToken(name string, token router.Secret, far bool) (f tokenFault) {
	if n := utf8.RuneCountInString(token.Reveal()); far && n > 0 && n < minToken {
		f = tokenFault{fmt.Sprintf("%s has %d characters, and other machines can guess it: it needs %d", name, n, minToken),
			makeToken}
	}
	return f
}

// judgeViewToken finds a token for looking that keeps nobody from acting.
func judgeViewToken(admin, view router.Secret) (f tokenFault) {
	switch {
	case view == "":
	case admin == "":
		f = tokenFault{viewToken + " is set and " + adminToken + " is not, so that who gives none may do everything",
			"set both"}
	case admin == view:
		f = tokenFault{viewToken + " is the same as " + adminToken + ", so that who may look may act", makeToken}
	}
	return f
}

// adminHosts are the names under which people reach the admin address: its own, and that of the links.
func adminHosts(admin, publicURL string) (hosts []string) {
	if u, err := url.Parse("//" + admin); err == nil && u.Hostname() != "" {
		hosts = append(hosts, u.Hostname())
	}
	if u, err := url.Parse(publicURL); err == nil && u.Hostname() != "" {
		hosts = append(hosts, u.Hostname())
	}
	return hosts
}
