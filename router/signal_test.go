package router

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEverySignalSaysAllThatIsAskedOfIt(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range Signals() {
		wrong := func(format string, args ...any) { t.Helper(); t.Errorf(s.Name+": "+format, args...) }
		if s.Name != strings.ToUpper(s.Name) || s.Name == "" || seen[s.Name] {
			wrong("a name is in upper case, and nobody else's")
		}
		seen[s.Name] = true
		if s.Title == "" || s.Subject == "" {
			wrong("title %q, subject %q", s.Title, s.Subject)
		}
		if s.Subject == SubjectBridge != (s.Field == "") {
			wrong("what Meta says comes under a field, and the bridge's own under none: %q", s.Field)
		}
		if s.Subject != SubjectBridge {
			for what, text := range map[string]string{"impact": s.Impact, "help": s.Help} {
				if !strings.HasSuffix(text, ".") {
					wrong("its %s is no sentence: %q", what, text)
				}
			}
			if !strings.HasPrefix(s.Link, "https://developers.facebook.com/") &&
				!strings.HasPrefix(s.Link, "https://business.facebook.com/") {
				wrong("link %q", s.Link)
			}
		}
		if len(s.Levels) > 0 && (s.Now == "" || s.Over == "") {
			wrong("words for a level: %q, %q", s.Now, s.Over)
		}
		measured := s.Window > 0 && s.Reading != "" && s.Measure != ""
		if measured != (s.Measured() && !s.Counts) || measured && s.ByWord() {
			wrong("has a unit, a window and a name of what is measured, or none of them: %+v", s)
		}
		for i, l := range s.Levels {
			if s.Measured() != (l.Word == "") {
				wrong("level %d is %q", i, l.Word)
			}
			if i == 0 || s.Apart {
				continue
			}
			if before := s.Levels[i-1]; before.Severity > l.Severity || measured && before.Severity == l.Severity || measured &&
				!s.Worse(l.Threshold, before.Threshold) {
				wrong("levels stand mildest first: %+v", s.Levels)
			}
		}
		for _, l := range slices.Concat(s.Levels, s.Ends, s.News) {
			if s.Moves() && (l.Text == "" || strings.HasSuffix(l.Text, ".")) {
				wrong("the word %q in words: %q", l.Word, l.Text)
			}
			for _, text := range []string{l.Meaning, l.Help} {
				if text != "" && !strings.HasSuffix(text, ".") {
					wrong("no sentence of the word %q: %q", l.Word, text)
				}
			}
		}
		if s.Event != "" && signalOf(s.Event).Field != s.Field {
			wrong("its event %s is that of another field", s.Event)
		}
		words := s.Words()
		slices.Sort(words)
		if twice := slices.Compact(slices.Clone(words)); len(twice) != len(words) {
			wrong("a word means one thing: %q", words)
		}
	}
}

func TestDefaultSeveritiesAreThoseOfTheDesign(t *testing.T) {
	for _, tt := range []struct {
		event  string
		levels map[string]Severity
	}{
		{ClientErrorRate, map[string]Severity{"5": Warning, "10": Error, "50": Critical}},
		{EndpointErrorRate, map[string]Severity{"5": Warning, "10": Error, "50": Critical}},
		{EndpointErrorRate, map[string]Severity{"3": Warning, "49.9": Error, "80": Critical, "": Warning}}, // beside Meta's
		{EndpointLatency, map[string]Severity{"1000": Warning, "5000": Error, "7000": Critical}},
		{EndpointLatency, map[string]Severity{"999": Warning, "6000": Error, "": Warning}},
		{EndpointAvailability, map[string]Severity{"90": Critical, "95": Critical, "50": Critical, "": Critical}},
		{FlowStatusChange, map[string]Severity{"THROTTLED": Error, "BLOCKED": Critical, "PUBLISHED": Info}},
		{FlowStatusChange, map[string]Severity{"DEPRECATED": Info, "FROZEN": Info, "": Info}},
		{FlowVersionExpiryWarning, map[string]Severity{"": Info}},
		{FlowResponse, map[string]Severity{"": Info}},
		{ParkedDelivery, map[string]Severity{"": Error}},
		{EventSetAside, map[string]Severity{"": Error}},
		{EverythingSilenced, map[string]Severity{"": Warning}},
		{"NEW_EVENT", map[string]Severity{"": Info}},
	} {
		for level, want := range tt.levels {
			e := Event{Name: tt.event}
			switch number, err := strconv.ParseFloat(level, 64); {
			case err == nil:
				e.AlertState, e.Threshold = Activated, &number
			case SignalOf(tt.event).Unit != NoUnit:
				e.AlertState = Activated
			default:
				e.NewStatus = level
			}
			if got := DefaultSeverity(&e); got != want {
				t.Errorf("%s at %q: got %s, want %s", tt.event, level, got, want)
			}
		}
	}
}

func TestEventsSayWhatTheirSignalsMeasure(t *testing.T) {
	var got []string
	for _, s := range Signals() {
		if s.Measured() && !s.Counts {
			l := s.Levels[len(s.Levels)-1].Level()
			got = append(got, strings.Join([]string{s.Title, s.Window.String(), Crossed(s.Name, l), Uncrossed(s.Name, l)}, ", "))
		}
	}
	want := []string{
		"Client error rate, 1h0m0s, over 50 %, back under 50 %",
		"Endpoint error rate, 30m0s, over 50 %, back under 50 %",
		"Endpoint latency (p90), 30m0s, over 7 s, back under 7 s",
		"Endpoint availability, 10m0s, below 90 %, back over 90 %",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	const thresholds = "5, 10 and 50 % for error rates, 1, 5 and 7 s for latency, 90 % for availability"
	if got := ThresholdWords(); got != thresholds {
		t.Errorf("got %q, want %q", got, thresholds)
	}
}

// TestWordsMoveASignal holds what the words of a row do: those of a flow's status, and of a row of another form.
func TestWordsMoveASignal(t *testing.T) {
	ban := Signal{
		Levels: []SignalLevel{{Word: "SCHEDULE_FOR_DISABLE", Severity: Error}, {Word: "DISABLE", Severity: Critical}},
		Ends:   []SignalLevel{{Word: "REINSTATE"}}, News: []SignalLevel{{Word: "APPEALED"}},
	}
	news := Signal{News: []SignalLevel{{Word: "PIN_CHANGED", Severity: Critical}}}
	status := signalOf(FlowStatusChange)
	for _, tt := range []struct {
		signal *Signal
		word   Level
		want   effect
	}{
		{status, Throttled, effect{clears: true, clear: Blocked, raises: true, raise: Throttled}},
		{status, Blocked, effect{raises: true, raise: Blocked}},
		{status, Published, effect{clears: true, clear: Throttled}},
		{status, "FROZEN", effect{clears: true, clear: Throttled}},
		{status, "", effect{}},
		{&ban, "SCHEDULE_FOR_DISABLE", effect{clears: true, clear: "DISABLE", raises: true, raise: "SCHEDULE_FOR_DISABLE"}},
		{&ban, "DISABLE", effect{raises: true, raise: "DISABLE"}},
		{&ban, "REINSTATE", effect{clears: true, clear: "SCHEDULE_FOR_DISABLE"}},
		{&ban, "APPEALED", effect{}},
		{&ban, "SOMETHING_NEW", effect{}},
		{&news, "PIN_CHANGED", effect{}},
	} {
		if got := tt.signal.effectOfWord(tt.word); got != tt.want {
			t.Errorf("%q: got %+v, want %+v", tt.word, got, tt.want)
		}
	}
	if !ban.ByWord() || !news.ByWord() {
		t.Error("a row with words moves by words")
	}
	if !ban.Opens(nil) || !ban.Opens([]string{"x", "DISABLE"}) || ban.Opens([]string{"REINSTATE"}) || news.Opens(nil) {
		t.Error("what opens something is a level")
	}
}

func TestTheLastReportIsThatOfTheSignal(t *testing.T) {
	at := func(minute int) time.Time { return time.Unix(int64(minute)*60, 0) }
	alerts := []Alert{
		{Event: EndpointLatency, Level: "1000", Raised: at(9)},
		{Event: EndpointErrorRate, Level: "5", Raised: at(1), Until: at(5)},
		{Event: EndpointErrorRate, Level: "10", Raised: at(4)},
		{Event: EndpointErrorRate, Level: "50", Raised: at(2), Until: at(3)},
	}
	any := func(*Alert) bool { return true }
	if got := LastReport(alerts, EndpointErrorRate, any); got != &alerts[1] {
		t.Errorf("got %+v", got)
	}
	if got := LastReport(alerts, EndpointErrorRate, func(a *Alert) bool { return a.Level != "5" }); got != &alerts[2] {
		t.Errorf("got %+v", got)
	}
	if got := LastReport(alerts, FlowStatusChange, any); got != nil {
		t.Errorf("got %+v", got)
	}
}

// asksSignals are the files that may ask which signal an event carries: the table, the decoder, and the samples.
var asksSignals = []string{
	"router/signalflow.go", "router/signalaccount.go", "router/whatsapp/account.go", "router/whatsapp/decode.go",
	"router/whatsapp/messages.go", "router/whatsapp/samples.go", "router/whatsapp/samplesaccount.go",
	// what Meta sends there, and what came of it, by name
	"cmd/flowbridge/demo/tricks.go", "cmd/flowbridge/demo/pagedata.go",
}

// TestNobodyAsksWhichSignalItIs holds that a new signal touches its row, the decoder and a sample: nobody else compares
// with the name of one or with a word of one, and nobody keeps lists or tables of them.
func TestNobodyAsksWhichSignalItIs(t *testing.T) {
	names := map[string]bool{} // of constants, and what they stand for
	for _, s := range Signals() {
		if s.Subject != SubjectBridge {
			for _, text := range append(s.Words(), s.Name) {
				names[strconv.Quote(text)] = true
			}
		}
	}
	table, err := parser.ParseFile(token.NewFileSet(), "signalflow.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := 0
	for node := range ast.Preorder(table) {
		if spec, ok := node.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			if value, ok := spec.Values[0].(*ast.BasicLit); ok && names[value.Value] {
				names[spec.Names[0].Name] = true
				constants++
			}
		}
	}
	if constants < 7 {
		t.Fatalf("found %d constants of signals in signalflow.go", constants)
	}
	files, asked := 0, map[string]int{}
	err = filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		name := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && entry.Name() != "..":
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files++
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, at := range asks(file, names) {
			asked[name]++
			if !slices.Contains(asksSignals, name) {
				t.Errorf("%s:%d asks which signal it is: ask its row", name, set.Position(at).Line)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 || asked["router/whatsapp/samples.go"] == 0 {
		t.Errorf("looked at %d files, and found nobody who may ask: %v", files, asked)
	}
}

// asks returns where a file compares with one of some constants or texts, switches on it, or has it in a list or as a
// key.
func asks(file *ast.File, names map[string]bool) (places []token.Pos) {
	var look func(list ...ast.Expr)
	look = func(list ...ast.Expr) {
		for _, e := range list {
			switch e := ast.Unparen(e).(type) {
			case *ast.SelectorExpr:
				if of, ok := e.X.(*ast.Ident); ok && of.Name == "router" && names[e.Sel.Name] {
					places = append(places, e.Pos())
				}
			case *ast.Ident:
				if file.Name.Name == "router" && names[e.Name] {
					places = append(places, e.Pos())
				}
			case *ast.BasicLit:
				if names[e.Value] {
					places = append(places, e.Pos())
				}
			case *ast.CallExpr: // a conversion, such as Level(Blocked)
				look(e.Args...)
			}
		}
	}
	for node := range ast.Preorder(file) {
		switch n := node.(type) {
		case *ast.CaseClause:
			look(n.List...)
		case *ast.BinaryExpr:
			if n.Op == token.EQL || n.Op == token.NEQ {
				look(n.X, n.Y)
			}
		case *ast.CompositeLit:
			_, isMap := n.Type.(*ast.MapType)
			for _, element := range n.Elts {
				if pair, ok := element.(*ast.KeyValueExpr); !ok {
					look(element)
				} else if isMap {
					look(pair.Key)
				}
			}
		}
	}
	return places
}
