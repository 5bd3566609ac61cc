package router

import (
	"cmp"
	"slices"
)

// effect is what an event does to the levels of its signal. Clearing comes first: BLOCKED -> THROTTLED
// leaves BLOCKED and stands on THROTTLED.
type effect struct {
	clears, raises bool
	clear          Level // this level and every worse one become inactive
	raise          Level // this level becomes active
}

// effectOf reads an event's meaning; the zero effect is that of a notice.
func effectOf(e *Event) effect {
	s := signalOf(e.SignalKey())
	switch {
	case s.ByWord():
		return s.effectOfWord(e.Level())
	case !e.Paired():
		return effect{}
	case e.AlertState == Activated:
		return effect{raises: true, raise: e.Level()}
	}
	return effect{clears: true, clear: e.Level()}
}

// effectOfWord reads a word, which says where all levels of the signal stand.
func (s *Signal) effectOfWord(word Level) effect {
	named := func(l SignalLevel) bool { return l.Word == string(word) }
	at := s.place(word)
	switch {
	case word == "" || len(s.Levels) == 0 || slices.ContainsFunc(s.News, named):
		return effect{}
	case at == len(s.Levels)-1:
		return effect{raises: true, raise: word}
	case at >= 0:
		return effect{clears: true, clear: s.Levels[at+1].Level(), raises: true, raise: word}
	case s.AnyEnds || slices.ContainsFunc(s.Ends, named):
		return effect{clears: true, clear: s.Levels[0].Level()}
	}
	return effect{}
}

// reaches says whether level l of an event is at least as bad as base, so that being below base means
// being below l as well. Levels that cannot be compared reach only themselves.
func reaches(event string, l, base Level) bool {
	if l == base {
		return true
	}
	s := signalOf(event)
	if s.Measured() {
		lt, ok1 := l.Threshold()
		bt, ok2 := base.Threshold()
		return ok1 && ok2 && s.worse(lt, bt)
	}
	return s.place(base) >= 0 && s.place(l) > s.place(base)
}

// Reaches says whether a is at a level of the same signal that is at least as bad as that of b.
func (a *Alert) Reaches(b *Alert) bool {
	return a.Event == b.Event && reaches(a.Event, a.Level, b.Level)
}

// Crossed writes that a level was crossed for the worse: "over 10 %", "below 90 %", "is BLOCKED".
func Crossed(event string, l Level) string {
	if l == "" {
		return "is out of bounds"
	}
	return cmp.Or(signalOf(event).Now, unknownSignal.Now) + " " + FormatLevel(event, l)
}

// Uncrossed writes that a level was crossed for the better: "back under 10 %", "no longer BLOCKED".
func Uncrossed(event string, l Level) string {
	if l == "" {
		return "back within bounds"
	}
	return cmp.Or(signalOf(event).Over, unknownSignal.Over) + " " + FormatLevel(event, l)
}
