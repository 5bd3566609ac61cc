package whatsapp

import (
	"encoding/hex"
	"regexp"
	"strings"
	"testing"

	"flowbridge/router"
)

// The example of RFC 4231, test case 2, made with another implementation.
func TestSignIsHMACSHA256InLowerCaseHex(t *testing.T) {
	t.Parallel()
	const want = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
	if got := Sign("Jefe", []byte("what do ya want for nothing?")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAKeptHashForgetsTheLastBody(t *testing.T) {
	t.Parallel()
	s := newSigner(secret)
	first := s.sign([]byte("one"))
	if s.sign([]byte("another")) == first || s.sign([]byte("one")) != first || s.sign(nil) == first {
		t.Error("a signature hangs on what was signed before")
	}
}

func TestOnlyOneWholeSHA256IsASignature(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("0aF9", 16)
	for name, c := range map[string]struct {
		values []string
		ok     bool
	}{
		"as Meta writes it":    {[]string{"sha256=" + strings.ToLower(digits)}, true},
		"upper-case hex":       {[]string{"sha256=" + strings.ToUpper(digits)}, true},
		"white space around":   {[]string{" \tsha256=" + digits + " \r\n"}, true},
		"none":                 {nil, false},
		"empty":                {[]string{""}, false},
		"two":                  {[]string{"sha256=" + digits, "sha256=" + digits}, false},
		"two in one":           {[]string{"sha256=" + digits + ", sha256=" + digits}, false},
		"no prefix":            {[]string{digits}, false},
		"SHA-1":                {[]string{"sha1=" + digits[:40]}, false},
		"SHA-1 under our name": {[]string{"sha256=" + digits[:40]}, false},
		"upper-case prefix":    {[]string{"SHA256=" + digits}, false},
		"white space inside":   {[]string{"sha256= " + digits}, false},
		"a digit short":        {[]string{"sha256=" + digits[1:]}, false},
		"a digit long":         {[]string{"sha256=" + digits + "0"}, false},
		"no hex":               {[]string{"sha256=" + digits[1:] + "g"}, false},
		"far too long":         {[]string{"sha256=" + strings.Repeat(digits, 1000)}, false},
	} {
		mac, ok := parseSignature(c.values)
		if ok != c.ok || ok && hex.EncodeToString(mac[:]) != strings.ToLower(digits) {
			t.Errorf("%s: %x, %v", name, mac, ok)
		}
	}
}

func TestAnyOfSeveralSecretsWillDo(t *testing.T) {
	t.Parallel()
	body := []byte(`{"a":"\u00e9"}`)
	signers := []*signer{newSigner("old"), newSigner("new")}
	for signedWith, want := range map[router.Secret]bool{"old": true, "new": true, "other": false, "": false} {
		mac, _ := parseSignature([]string{Sign(signedWith, body)})
		if got := signedByAny(signers, body, mac); got != want {
			t.Errorf("signed with %q: %v", signedWith.Reveal(), got)
		}
	}
	mac, _ := parseSignature([]string{Sign("old", []byte(`{"a":"é"}`))})
	if signedByAny(signers, body, mac) {
		t.Error("the same JSON in other bytes was taken")
	}
}

// FuzzSignature compares the parser with a regular expression.
func FuzzSignature(f *testing.F) {
	for _, s := range []string{"", "sha256=", Sign(secret, nil), " " + Sign(secret, nil),
		strings.ToUpper(Sign(secret, nil)), "sha1=" + strings.Repeat("a", 40)} {
		f.Add(s)
	}
	oracle := regexp.MustCompile(`^sha256=([0-9a-fA-F]{64})$`)
	f.Fuzz(func(t *testing.T, header string) {
		want := oracle.FindStringSubmatch(strings.TrimSpace(header))
		mac, ok := parseSignature([]string{header})
		if ok != (want != nil) || ok && hex.EncodeToString(mac[:]) != strings.ToLower(want[1]) {
			t.Errorf("%q: %x, %v", header, mac, ok)
		}
	})
}
