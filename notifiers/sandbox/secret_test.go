package sandbox_test

import (
	"fmt"
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox"
)

// recorder is a testing.TB that only listens.
type recorder struct{ said []string }

func (*recorder) Helper()                      {}
func (r *recorder) Errorf(f string, as ...any) { r.said = append(r.said, fmt.Sprintf(f, as...)) }

func TestASecretIsFoundHoweverItIsWritten(t *testing.T) {
	const secret = "xoxb/a secret+1"
	for text, leaks := range map[string]bool{
		"nothing here":                          false,
		"post failed: token=xoxb/a secret+1":    true,
		"token=xoxb%2Fa+secret%2B1":             true,
		"https://example.com/xoxb%2Fa%20secret": false,
		"/xoxb%2Fa%20secret+1":                  true,
		"Basic eG94Yi9hIHNlY3JldCsx":            true,
	} {
		var r recorder
		sandbox.AssertNoSecret(&r, []string{"", secret}, "no", text)
		if got := len(r.said) == 1; got != leaks {
			t.Errorf("%q: reported %v, want %v", text, r.said, leaks)
		}
		if strings.Contains(strings.Join(r.said, ""), secret) {
			t.Errorf("the report shows the secret: %v", r.said)
		}
	}
}
