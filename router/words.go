package router

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// SignalName returns an event's name in words: "Endpoint error rate". An unknown name is made readable.
func SignalName(event string) string {
	switch title := signalOf(event).Title; {
	case title != "":
		return title
	case event == "":
		return "Unnamed event"
	}
	words := strings.ToLower(strings.ReplaceAll(event, "_", " "))
	first, size := utf8.DecodeRuneInString(words)
	return string(unicode.ToUpper(first)) + words[size:]
}

// FormatValue writes a number of the event in its unit: "14.28 %", "7.2 s", "850 ms". A number of an
// event whose unit is not known stands alone.
func FormatValue(event string, v float64) string { return signalOf(event).Unit.Format(v) }

// ThresholdWords says which thresholds Meta sends: "5, 10 and 50 % for error rates, 1, 5 and 7 s for latency, ...".
func ThresholdWords() string {
	var all, told []string
	for i := range signals {
		s := &signals[i]
		if !s.Measured() || s.Counts || slices.Contains(told, s.Measure) {
			continue
		}
		told = append(told, s.Measure)
		var numbers []string
		unit := ""
		for _, t := range Thresholds(s.Name) {
			number, of, _ := strings.Cut(s.Unit.Format(t), " ")
			numbers, unit = append(numbers, number), of
		}
		last := len(numbers) - 1
		text := numbers[last]
		if last > 0 {
			text = strings.Join(numbers[:last], ", ") + " and " + text
		}
		all = append(all, text+" "+unit+" for "+s.Measure)
	}
	return strings.Join(all, ", ")
}

// Reached writes what a signal came to, so that it stays true whatever comes after: "reached 57 %, over 50 %",
// "fell to 71 %, below 90 %", "reached 50 %", "became BLOCKED". value is what was measured, nil where Meta did not
// say.
func Reached(event string, l Level, value *float64) string {
	s := signalOf(event)
	verb := "reached "
	if s.Bad == Below {
		verb = "fell to "
	}
	t, numeric := l.Threshold()
	switch {
	case l.IsWord():
		return "became " + string(l)
	case value == nil && !numeric:
		return "went out of bounds"
	case value == nil && s.Bad == Below:
		return "fell below " + FormatValue(event, t)
	case value == nil:
		return verb + FormatValue(event, t)
	case !numeric:
		return verb + FormatValue(event, *value)
	}
	return verb + FormatValue(event, *value) + ", " + Crossed(event, l)
}

// FormatLevel writes a level for people: "10 %", "5 s", "BLOCKED"; "" for the level without a name.
func FormatLevel(event string, l Level) string {
	if t, ok := l.Threshold(); ok {
		return FormatValue(event, t)
	}
	if l == "" && signalOf(event).Counts {
		return "announced"
	}
	if known := signalOf(event).find(string(l)); known != nil && known.Text != "" {
		return known.Text
	}
	return string(l)
}

// FormatPath writes the levels that an incident reached: "5 % → 10 % → 50 %".
func FormatPath(event string, path []Level) string {
	words := make([]string, len(path))
	for i, l := range path {
		words[i] = FormatLevel(event, l)
	}
	return strings.Join(words, " → ")
}

// FormatDuration writes how long something took, in its two largest units: "2 h 5 min".
func FormatDuration(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	units := []struct {
		name string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}}
	for i, u := range units {
		if d < u.size {
			continue
		}
		out := fmt.Sprintf("%d %s", d/u.size, u.name)
		if i+1 < len(units) {
			if rest := (d % u.size) / units[i+1].size; rest > 0 {
				out += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return out
	}
	return "0 s"
}

// DurationForm is how people write a length of time, as a regular expression: 30s, 5m, 2h, 1h30m or 1d.
const DurationForm = `([0-9]{1,9}[dhms])+`

var (
	durationWhole = regexp.MustCompile(`^` + DurationForm + `$`)
	durationPart  = regexp.MustCompile(`([0-9]+)([dhms])`)
)

// ParseDuration reads a length of time of DurationForm; ok is false for anything else. What is longer than a
// time.Duration can hold becomes the longest that it can.
func ParseDuration(s string) (d time.Duration, ok bool) {
	if !durationWhole.MatchString(s) {
		return 0, false
	}
	units := map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second}
	for _, part := range durationPart.FindAllStringSubmatch(s, -1) {
		n, _ := strconv.ParseInt(part[1], 10, 64) // nine digits at most
		unit := units[part[2]]
		if n > int64((math.MaxInt64-d)/unit) {
			return math.MaxInt64, true
		}
		d += time.Duration(n) * unit
	}
	return d, true
}

// FormatTimes writes how often: "once", "twice", "3 times".
func FormatTimes(n int64) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}

// shortNumber writes at most two decimals and no trailing zeros.
func shortNumber(v float64) string {
	return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64)
}

// DisplayName returns how to call a flow: its name, or its id where the rules file gives none. Of another subject
// id is the Subject.Key; who has the Subject has a better name.
func (f FlowInfo) DisplayName(id string) string {
	kind, of, isKey := strings.Cut(id, ":")
	switch {
	case f.FlowName != "":
		return f.FlowName
	case isKey && of == "":
		return "the " + kind
	case isKey:
		return kind + " " + of
	case id != "":
		return "flow " + id
	}
	return "a flow"
}

// Sentence writes that a level was crossed for the worse, or what another word of a signal says, with the signal's name
// before it: "Endpoint error rate over 10 %", "Account ban: will be disabled".
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
	switch s := signalOf(event); {
	case l == "":
		return cmp.Or(s.Bare, "is out of bounds")
	case s.Counts && l == "0":
		return "has come"
	}
	return cmp.Or(signalOf(event).Now, unknownSignal.Now) + " " + FormatLevel(event, l)
}

// Uncrossed writes that a level was crossed for the better: "back under 10 %", "no longer BLOCKED".
func Uncrossed(event string, l Level) string {
	switch s := signalOf(event); {
	case l == "":
		return cmp.Or(s.BareOver, "back within bounds")
	case s.Counts && l == "0":
		return "has not come"
	}
	return cmp.Or(signalOf(event).Over, unknownSignal.Over) + " " + FormatLevel(event, l)
}
