package router

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// Fields of an account that have names of their own here.
const (
	FlowsField    = "flows"
	MessagesField = "messages" // messages come under it, and among them filled forms
)

// Signal is one thing that can be wrong with a subject, or that is told of it once. Everything that differs from one
// signal to the next stands in its row (signalflow.go, signalaccount.go, signalbridge.go): a new one touches the row,
// the decoder and a sample.
//
// A signal with levels opens incidents; one without is news, told once. Levels are thresholds, reported by pairs of
// ACTIVATED and DEACTIVATED, or words, of which each replaces the one before. A Signal is for reading only.
type Signal struct {
	Name    string      // its key: Event.SignalKey, Alert.Event; "" for an unknown event
	Event   string      // name of the event that carries it, where several signals share one; "": Name
	Field   string      // of the account, under which it comes: "flows"; "" for the bridge's own
	Subject SubjectKind // what it is about

	Levels  []SignalLevel // mildest first; being below one means being below all that are worse
	Unit    Unit          // of thresholds and of what is measured; NoUnit where levels are words, or there are none
	Bad     Direction     // on which side of a threshold the trouble lies
	Window  time.Duration // over which Meta measures; 0 where nothing is measured
	Reading string        // what is measured, by its name in Meta's value and in `when`: "error_rate"
	Errors  bool          // Meta counts errors by type
	// Endpoint says what is measured of the flow's endpoint, with %s for the number: "%s of requests fail". "": it is not
	// about the endpoint.
	Endpoint string

	// Of levels that are words: Apart says that each begins and ends by itself, and none is worse than another;
	// AnyLevel that the decoder may report words as active that stand nowhere in this row: they are levels of the row's
	// Severity; OwnIncident that each level is an incident of its own.
	Apart, AnyLevel, OwnIncident bool
	Replaces                     bool // beside Apart: each level ends the others, since the subject is in one at a time

	Ends    []SignalLevel // words that end every level
	AnyEnds bool          // so does a word that stands nowhere in this row
	News    []SignalLevel // words that are told once and change no level

	// Counts says that the levels are days before something ends. What reports it is the level without a name; the others
	// come by our clock, where the end is known: see Countdown. It is an incident of its own, however rules group.
	Counts bool

	// Unheard is how long nothing need be heard of an active level before it is looked up, or people are told so; 0: for
	// ever. Rules may say otherwise under unheard_after.
	Unheard time.Duration

	// Severity is that of news without words, and of levels that name none; SeverityUnset: info, and a warning if it
	// calls itself ACTIVATED.
	Severity Severity
	Personal bool // it holds what a person wrote: rules must name it, and little of it is kept

	// Words for people. A level's own Meaning and Help go before Impact and Help.
	Title   string // "Endpoint error rate"
	Measure string // what is measured, together with others of the same thresholds: "error rates"
	Now     string // stands before a level that was reached: "over" (10 %), "is" (BLOCKED)
	Over    string // stands before a level that is reached no longer: "back under" (10 %), "no longer" (BLOCKED)
	// Bare and BareOver stand in the place of a level without a name, reached and reached no longer; "": out of bounds.
	Bare, BareOver string
	Trouble        string // what an incident of any level is called where the title would mislead; "": the title
	Told           string // what a notice of it is called; "": the title
	Impact         string // what it means for the people who use the subject, in a sentence
	Help           string // what helps, in a sentence
	Link           string // URL of Meta's page about it
}

// SignalLevel is a threshold or a word that Meta reports of a signal.
type SignalLevel struct {
	Threshold float64  // in the signal's unit; of a level without a Word
	Word      string   // as Meta writes it: "BLOCKED"
	Severity  Severity // where no rule says otherwise; SeverityUnset: the signal's, or info
	// the Word for people, after the signal's Title and a colon: "flagged for low quality"; "": the Word
	Text    string
	Meaning string // for the people who use the subject, in a sentence, where the signal's Impact says too little
	Help    string // what helps, in a sentence, where the signal's Help says too little
	Renews  Renews // of a word of a flow's status
}

// Renews says whether a word of a signal ends what counts down of the same subject: see Signal.Counts.
type Renews int

// When a word does so.
const (
	RenewsNothing    Renews = iota
	RenewsUnlessBack        // unless the subject comes back from a level, and is the same as before
	RenewsAlways
)

// Level returns the name under which alerts keep it.
func (l *SignalLevel) Level() Level {
	if l.Word != "" {
		return Level(l.Word)
	}
	return ThresholdLevel(&l.Threshold)
}

// SubjectKind is what events can be about, by the word that rules use.
type SubjectKind string

// The kinds of subjects.
const (
	SubjectFlow     SubjectKind = "flow"
	SubjectAccount  SubjectKind = "account" // a WhatsApp Business Account
	SubjectPhone    SubjectKind = "phone"
	SubjectTemplate SubjectKind = "template" // in one language
	SubjectEntity   SubjectKind = "entity"   // a business entity of account_alerts
	SubjectPayment  SubjectKind = "payment"  // a payment configuration
	SubjectBridge   SubjectKind = "bridge"   // flowbridge itself: told to the fallback notifier unless a rule names it
)

// Direction is the side of a threshold on which trouble lies.
type Direction int

// The directions.
const (
	Above Direction = iota
	Below
)

// Unit is what a number of Meta's is measured in.
type Unit int

// The units.
const (
	NoUnit  Unit = iota // of a bare number, and of an event that we know nothing of
	Percent             // 14.28 is 14.28 %
	Millis              // 7000 is 7 s
	Days                // 3 is 3 days
)

// String returns the unit as a sentence names it.
func (u Unit) String() string {
	return [...]string{"no unit", "percent", "milliseconds or seconds", "days"}[u]
}

// mostSaid is more than any number that Meta can mean: written out, a larger one would fill a page's summary.
const mostSaid = 1e12

// Format writes a number in the unit: "14.28 %", "7.2 s", "850 ms", "34".
func (u Unit) Format(v float64) string {
	switch {
	case math.IsNaN(v) || math.Abs(v) > mostSaid:
		return "unknown"
	case u == Days && v == 1:
		return "1 day"
	case u == Days:
		return shortNumber(v) + " days"
	case u == Percent:
		return shortNumber(v) + " %"
	case u == Millis && math.Abs(v) >= 1000:
		return shortNumber(v/1000) + " s"
	case u == Millis:
		return shortNumber(v) + " ms"
	}
	return shortNumber(v)
}

// signals are Meta's, in the order in which people see them listed, and then the bridge's own. Thresholds and windows:
// Meta, "Flows webhooks"; what statuses mean and what helps: Meta, "Flow health and monitoring" and "Flow status and
// lifecycle". Nothing changes the table, and everybody reads it through the functions below.
var signals = slices.Concat(flowSignals, accountSignals, bridgeSignals)

// signalsByName finds the rows of the table.
var signalsByName = func() map[string]*Signal {
	byName := make(map[string]*Signal, len(signals))
	for i := range signals {
		byName[signals[i].Name] = &signals[i]
	}
	return byName
}()

// unknownSignal is that of an event that we know nothing of.
var unknownSignal = Signal{Now: "over", Over: "back under"}

// Signals returns every signal, in the order in which people see them listed: Meta's, and then the bridge's own.
func Signals() []Signal { return slices.Clone(signals) }

// SignalOf returns the signal that an event of this name carries; one without a name where we know nothing of it.
func SignalOf(event string) Signal { return *signalOf(event) }

func signalOf(event string) *Signal {
	if s, ok := signalsByName[event]; ok {
		return s
	}
	return &unknownSignal
}

// AccountFields returns the fields of an account, beside flows and messages, that apps subscribe to, sorted.
func AccountFields() []string {
	var fields []string
	for i := range signals {
		if field := signals[i].Field; field != "" && field != FlowsField && field != MessagesField {
			fields = append(fields, field)
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// KnownEvents returns the names of all events that are known, each once.
func KnownEvents() (names []string) {
	for i := range signals {
		if name := cmp.Or(signals[i].Event, signals[i].Name); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// SignalsOf returns the signals that events of a name can carry; none where we know nothing of it.
func SignalsOf(event string) (of []Signal) {
	for i := range signals {
		if s := &signals[i]; s.Name == event && s.Event == "" || s.Event == event {
			of = append(of, *s)
		}
	}
	return of
}

// KnownChanges returns the words that are known for Event.Change of an event, or of every event for "": sorted, each
// once.
func KnownChanges(event string) (words []string) {
	for i := range signals {
		s := &signals[i]
		if s.Moves() && (event == "" || EventOf(s.Name) == event) {
			words = append(words, s.Words()...)
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// EventOf returns the name of the event that carries a signal, as rules, API and people know it: "ACCOUNT_UPDATE" of
// "ACCOUNT_BAN".
func EventOf(signal string) string { return cmp.Or(signalOf(signal).Event, signal) }

// FieldOf returns the field of the account that an event of Meta's comes under.
func FieldOf(event string) string { return cmp.Or(signalOf(event).Field, strings.ToLower(event)) }

// SubjectOf returns what an event is about. One that nobody knows came under the field of flows.
func SubjectOf(event string) SubjectKind {
	return cmp.Or(signalOf(event).Subject, SubjectFlow)
}

// UnitOf returns what thresholds and readings of an event are measured in.
func UnitOf(event string) Unit { return signalOf(event).Unit }

// Thresholds returns those that Meta sends of an event, in its unit, mildest first; nil where that is not known.
func Thresholds(event string) (all []float64) {
	if s := signalOf(event); s.Measured() {
		for _, l := range s.Levels {
			all = append(all, l.Threshold)
		}
	}
	return all
}

// Readings returns the names of what is measured: error_rate and others.
func Readings() (names []string) {
	for i := range signals {
		if name := signals[i].Reading; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// LevelMeaning says what a level of a signal, or another word of it, means for the people who use the subject; "" where
// its signal says enough.
func LevelMeaning(event string, l Level) string {
	if known := signalOf(event).find(string(l)); known != nil {
		return known.Meaning
	}
	return ""
}

// LevelHelp says what helps against a level of a signal, in a sentence; "" where we do not know.
func LevelHelp(event string, l Level) string {
	s := signalOf(event)
	if known := s.find(string(l)); known != nil && known.Help != "" {
		return known.Help
	}
	return s.Help
}

// StateOf says what a word of Meta's does to a signal: Activated for a level, Deactivated for what ends them, "" for
// news and for a word that is not known. The decoder asks it for the signals that move by Event.Change.
func StateOf(signal, word string) string {
	switch s := signalOf(signal); {
	case s.place(Level(word)) >= 0:
		return Activated
	case s.ends(word):
		return Deactivated
	}
	return ""
}

// Measured says whether its levels are thresholds.
func (s *Signal) Measured() bool { return s.Unit != NoUnit }

// ByWord says whether it moves by words, such as the status of a flow.
func (s *Signal) ByWord() bool {
	return s.AnyEnds || len(s.Ends)+len(s.News) > 0 || len(s.Levels) > 0 && s.Levels[0].Word != ""
}

// Moves says whether it moves by Event.Change, whose meaning the decoder has put into Event.AlertState.
func (s *Signal) Moves() bool { return s.ByWord() && s.Subject != SubjectFlow }

// OfEndpoint says whether it is about the endpoint of a flow, which can be probed.
func (s *Signal) OfEndpoint() bool { return s.Endpoint != "" }

// ends says whether a word ends every level.
func (s *Signal) ends(word string) bool {
	return slices.ContainsFunc(s.Ends, func(l SignalLevel) bool { return l.Word == word })
}

// all is the level below which nothing of the signal is wrong.
func (s *Signal) all() Level {
	if s.Apart || len(s.Levels) == 0 {
		return ""
	}
	return s.Levels[0].Level()
}

// Words returns the words that it is known to move by, those first that open nothing.
func (s *Signal) Words() (words []string) {
	for _, l := range slices.Concat(s.Ends, s.News, s.Levels) {
		if l.Word != "" {
			words = append(words, l.Word)
		}
	}
	return words
}

// Opens says whether one of some words opens an incident, or gets one worse; nil stands for every word.
func (s *Signal) Opens(words []string) bool {
	isLevel := func(word string) bool { return s.place(Level(word)) >= 0 }
	any := words == nil ||
		s.AnyLevel && slices.ContainsFunc(words, func(word string) bool { return s.find(word) == nil })
	return any && len(s.Levels) > 0 || slices.ContainsFunc(words, isLevel)
}

// place returns where a word stands among the levels, from 0 for the mildest; -1 for one that is no level. Thresholds
// are compared by worse: they may lie beside those that are known.
func (s *Signal) place(l Level) int {
	return slices.IndexFunc(
		s.Levels,
		func(known SignalLevel) bool { return known.Word != "" && known.Word == string(l) },
	)
}

// find returns what is known of a word, or nil.
func (s *Signal) find(word string) *SignalLevel {
	if word == "" {
		return nil
	}
	for _, list := range [...][]SignalLevel{s.Levels, s.Ends, s.News} {
		for i := range list {
			if list[i].Word == word {
				return &list[i]
			}
		}
	}
	return nil
}

// reached returns the worst of its thresholds that a number reaches; the mildest where it reaches none, and for nil.
func (s *Signal) reached(threshold *float64) *SignalLevel {
	reached := &s.Levels[0]
	for i := range s.Levels {
		if t := s.Levels[i].Threshold; threshold != nil && (*threshold == t || s.Worse(*threshold, t)) {
			reached = &s.Levels[i]
		}
	}
	return reached
}

// Reaches says whether a number is at a threshold, or on its bad side. Of what is no number it is false.
func (s *Signal) Reaches(l Level, v *float64) bool {
	t, ok := l.Threshold()
	return ok && v != nil && (*v == t || s.Worse(*v, t))
}

// Worse says whether a number is worse than a threshold.
func (s *Signal) Worse(v, threshold float64) bool {
	if s.Bad == Below {
		return v < threshold
	}
	return v > threshold
}
