package router

import (
	"log/slog"
	"unicode/utf8"
)

// Secret is a credential. However it is printed, logged or marshalled it shows as dots; only Reveal
// returns it, and whoever calls Reveal answers for where it goes.
type Secret string

const dots = "••••••"

// Reveal returns the credential itself.
func (s Secret) Reveal() string { return string(s) }

// leastHidden is how many characters a secret has at least that is worth hiding in a text.
const leastHidden = 4

// Hideable says whether dots can stand for the secret in a text. Of a shorter one, which anybody can guess, they would
// blank parts of ordinary words, and so spell it out.
func (s Secret) Hideable() bool { return utf8.RuneCountInString(string(s)) >= leastHidden }

// String returns dots, or nothing for an empty secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return dots
}

// GoString is String: %#v must not leak either.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps secrets out of JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue keeps secrets out of slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
