package pagerduty

import "context"

// Round does what is due at once, as Run does every second, or without a pause where there is more.
func (l *Linker) Round(ctx context.Context) (more bool, err error) { return l.round(ctx) }

// Signed is for comparing with the library.
var Signed = signed
