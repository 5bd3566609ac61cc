package sandbox

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// AssertNoSecret fails a test where a secret stands in one of the texts (errors, logs, cards), as it is or as
// a form, a URL or basic authentication writes it. t is a testing.TB; the failure shows no secret either.
func AssertNoSecret(t interface {
	Helper()
	Errorf(format string, args ...any)
}, secrets []string, texts ...string) {
	t.Helper()
	for i, secret := range secrets {
		forms := []string{secret, url.QueryEscape(secret), url.PathEscape(secret),
			base64.StdEncoding.EncodeToString([]byte(secret))}
		for _, text := range texts {
			leaks := func(form string) bool { return secret != "" && strings.Contains(text, form) }
			if at := slices.IndexFunc(forms, leaks); at >= 0 {
				t.Errorf("secret %d leaks into %q", i, strings.ReplaceAll(text, forms[at], "SECRET"))
			}
		}
	}
}
