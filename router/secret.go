package router

import "log/slog"

// Secret is a credential. However it is printed, logged or marshalled it shows as dots; only Reveal
// returns it, and whoever calls Reveal answers for where it goes.
type Secret string

const dots = "••••••"

// Reveal returns the credential itself.
func (s Secret) Reveal() string { return string(s) }

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
