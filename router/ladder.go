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
	case s.ByWord() && !s.Moves():
		return s.effectOfWord(e.Level())
	case !e.Paired():
		return effect{}
	case e.AlertState == Activated:
		eff := effect{raises: true, raise: e.Level()}
		if at := s.place(eff.raise); !s.Apart && at >= 0 && at < len(s.Levels)-1 { // a word replaces the worse one before it
			eff.clears, eff.clear = true, s.Levels[at+1].Level()
		}
		return eff
	case s.ends(e.Change):
		return effect{clears: true, clear: s.all()}
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
// being below l as well. Levels that cannot be compared reach only themselves. All reach the level without a name: a
// recovery that names none is one of all.
func reaches(event string, l, base Level) bool {
	if l == base || base == "" {
		return true
	}
	s := signalOf(event)
	if s.Apart {
		return false
	}
	if s.Measured() {
		lt, ok1 := l.Threshold()
		bt, ok2 := base.Threshold()
		return ok1 && ok2 && s.Worse(lt, bt)
	}
	return s.place(base) >= 0 && s.place(l) > s.place(base)
}

// Reaches says whether a is at a level of the same signal that is at least as bad as that of b.
func (a *Alert) Reaches(b *Alert) bool {
	return a.Event == b.Event && reaches(a.Event, a.Level, b.Level)
}

// Sentence writes that a level was crossed for the worse, or what another word of a signal says, with the signal's name before
// it: "Endpoint error rate over 10 %", "Account ban: will be disabled".
func Sentence(event string, l Level) string {
	s := signalOf(event)
	switch known := s.find(string(l)); {
	case !s.Moves():
		return SignalName(event) + " " + Crossed(event, l)
	case known != nil && known.Text != "":
		return s.Title + ": " + known.Text
	case l == "":
		return s.Title
	}
	return s.Title + ": " + string(l)
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
