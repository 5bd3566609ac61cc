package rules

import (
	"slices"
	"strings"

	"flowbridge/router"
)

// wanted is what a key of match asks of a text: one of some values, or with `not` none of them. The zero wanted asks
// nothing.
type wanted struct {
	values []string
	not    bool
}

func (w *wanted) asks() bool { return w.values != nil }

// names returns the values of which the text must be one; nil where other values may hold too.
func (w *wanted) names() []string {
	if w.not {
		return nil
	}
	return w.values
}

func (w *wanted) holds(v string) bool {
	return w.values == nil || slices.Contains(w.values, v) != w.not
}

// namesOne says whether the key names a value: `not` names none.
func (w *wanted) namesOne(v string) bool { return !w.not && slices.Contains(w.values, v) }

// covers says that w holds wherever other holds.
func (w *wanted) covers(other *wanted) bool {
	outside := func(all []string) func(string) bool {
		return func(v string) bool { return !slices.Contains(all, v) }
	}
	switch {
	case !w.asks():
		return true
	case !other.asks():
		return false
	case !w.not:
		return !other.not && !slices.ContainsFunc(other.values, outside(w.values))
	case other.not:
		return !slices.ContainsFunc(w.values, outside(other.values))
	}
	return !slices.ContainsFunc(other.values, func(v string) bool { return slices.Contains(w.values, v) })
}

// apart says that no text is what both ask for.
func (w *wanted) apart(other *wanted) bool {
	if w.not {
		w, other = other, w
	}
	if !w.asks() || w.not || !other.asks() {
		return false
	}
	return !slices.ContainsFunc(w.values, other.holds)
}

// subjectOf returns what an event is about. One that was kept before subjects were known is about what others of its
// name are about.
func subjectOf(ev *router.Event) router.SubjectKind {
	if ev.Subject.Kind != "" {
		return ev.Subject.Kind
	}
	return router.SubjectOf(ev.Name)
}

// holdsPhone says whether an event is about a phone number that a key names, by its digits or as Meta writes it.
func (w *wanted) holdsPhone(ev *router.Event) bool {
	if w.values == nil {
		return true
	}
	is := func(v string) bool {
		return v == ev.Subject.ID || v == ev.Subject.Name || sameDigits(v, ev.Subject.ID) || sameDigits(v, ev.Subject.Name)
	}
	return (ev.Subject.Kind == router.SubjectPhone && slices.ContainsFunc(w.values, is)) != w.not
}

// holdsTemplate says whether an event is about a template that a key names: by its id, by its name, or by its name and
// language, "order_confirmation (en_US)".
func (w *wanted) holdsTemplate(ev *router.Event) bool {
	if w.values == nil {
		return true
	}
	is := func(v string) bool {
		rest, begins := strings.CutPrefix(ev.Subject.Name, v)
		return v == ev.Subject.ID || begins && (rest == "" || strings.HasPrefix(rest, " ("))
	}
	return (ev.Subject.Kind == router.SubjectTemplate && slices.ContainsFunc(w.values, is)) != w.not
}

// sameDigits says whether two texts are the same phone number: whatever stands between the digits does not count.
func sameDigits(a, b string) bool {
	for n := 0; ; n++ {
		a, b = strings.TrimLeftFunc(a, noDigit), strings.TrimLeftFunc(b, noDigit)
		switch {
		case a == "" || b == "":
			return a == b && n > 0
		case a[0] != b[0]:
			return false
		}
		a, b = a[1:], b[1:]
	}
}

func noDigit(c rune) bool { return c < '0' || c > '9' }
