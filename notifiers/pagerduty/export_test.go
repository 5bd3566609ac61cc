package pagerduty

import "context"

// Round does what is due at once, as Run does every second.
func (l *Linker) Round(ctx context.Context) error { return l.round(ctx) }

// Signed is for comparing with the library.
var Signed = signed
