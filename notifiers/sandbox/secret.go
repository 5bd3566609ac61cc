package sandbox

import (
	"encoding/base64"
	"net/url"
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
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), base64.StdEncoding.EncodeToString([]byte(secret))} {
			for _, text := range texts {
				if secret != "" && strings.Contains(text, form) {
					t.Errorf("secret %d leaks into %q", i, strings.ReplaceAll(text, form, "SECRET"))
				}
			}
		}
	}
}
