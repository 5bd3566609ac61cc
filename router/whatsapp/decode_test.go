package whatsapp

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fixtures returns the posts in testdata by name.
func fixtures(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	posts := map[string][]byte{}
	for _, file := range files {
		if posts[strings.TrimSuffix(filepath.Base(file), ".json")], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	return posts
}

// Forms are decoded as if a rule asked for them.
func TestEveryFixtureDecodesToItsGoldenFile(t *testing.T) {
	t.Parallel()
	for name, body := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			var wants Wants
			if strings.HasPrefix(name, "form") {
				wants = WantsAll
			}
			events, ignored := Decode(body, noon, wants)
			var got strings.Builder
			fmt.Fprintf(&got, "%d events, %d changes let go\n", len(events), ignored.Total())
			for _, e := range events {
				shown, err := json.MarshalIndent(e, "", "  ")
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&got, "\n%s\n%s\n%s", e.Digest, shown, e.Raw)
			}
			golden := filepath.Join("testdata", name+".want")
			if *update {
				if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got.String(), "\n")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestWhatIsNoPostIsKeptAsItCame(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, why string }{
		"nothing":           {"", "no JSON"},
		"no JSON":           {"hello", "no JSON"},
		"cut short":         {`{"entry":[{"id":"501"`, "no JSON"},
		"more behind it":    {`{"entry":[]} {}`, "no JSON"},
		"null":              {"null", "no entry"},
		"a list":            {"[1,2]", "no entry"},
		"a number":          {"7 ", "no entry"},
		"a string":          {`"entry"`, "no entry"},
		"no entry":          {`{"object":"whatsapp_business_account"}`, "no entry"},
		"an empty entry":    {`{"entry":[]}`, "no entry"},
		"null for entry":    {`{"entry":null}`, "no entry"},
		"another case":      {`{"ENTRY":[{"changes":[{"field":"flows","value":{}}]}]}`, "no entry"},
		"too deeply nested": {strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001), "no JSON"},
		"NUL":               {"{\"entry\":\x00}", "no JSON"},
		"too many":          {`{"entry":[` + strings.Repeat("{},", 50_000) + `{}]}`, "more than 10000 events"},
	} {
		t.Run(name, func(t *testing.T) {
			events, ignored := Decode([]byte(c.body), noon, WantsAll)
			if len(events) != 1 || len(ignored) != 0 {
				t.Fatalf("%d events, %v let go", len(events), ignored)
			}
			e := events[0]
			if !strings.Contains(e.Unreadable, c.why) || string(e.Raw) != c.body || !e.At.Equal(noon) ||
				e.Source != router.SourceMeta {
				t.Errorf("got %q at %v, raw %.60q", e.Unreadable, e.At, e.Raw)
			}
			storable(t, &e)
		})
	}
}

func TestAThousandChangesAreAThousandEvents(t *testing.T) {
	t.Parallel()
	events, _ := Decode(thousand(t), noon, nil)
	digests := map[string]bool{}
	for i, e := range events {
		digests[e.Digest] = true
		if want := fmt.Sprint(5000 + i); e.Flow != want {
			t.Fatalf("event %d is of flow %s, want %s", i, e.Flow, want)
		}
	}
	if len(events) != 1000 || len(digests) != 1000 {
		t.Errorf("%d events, %d digests", len(events), len(digests))
	}
}

// change is a post with one change of the field flows.
func change(waba, at, value string) []byte {
	return fmt.Appendf(nil, `{"entry":[{"id":%q,"time":%s,"changes":[{"field":"flows","value":%s}]}]}`, waba, at, value)
}

func TestTheDigestTellsRepeatsFromNewEvents(t *testing.T) {
	t.Parallel()
	const value = `{"event":"X","flow_id":"1","errors":[{"error_type":"a/b","error_rate":1.50}]}`
	digest := func(body []byte, received time.Time) string {
		t.Helper()
		events, _ := Decode(body, received, nil)
		if len(events) != 1 || events[0].Unreadable != "" {
			t.Fatalf("%s: %+v", body, events)
		}
		return events[0].Digest
	}
	first := digest(change("501", "1772438400", value), noon)
	for name, same := range map[string][]byte{
		"the same bytes":   change("501", "1772438400", value),
		"a time as string": change("501", `"1772438400"`, value),
		"other white space": change("501", "1772438400",
			"{ \"event\" : \"X\",\n\t\"flow_id\":\"1\",\"errors\":[ {\"error_type\":\"a/b\",\"error_rate\":1.50 } ] }"),
		"another key order": change("501", "1772438400",
			`{"errors":[{"error_rate":1.50,"error_type":"a/b"}],"flow_id":"1","event":"X"}`),
		"other escapes": change("501", "1772438400",
			`{"event":"\u0058","flow\u005fid":"1","errors":[{"error_type":"a\/b","error_rate":1.50}]}`),
	} {
		if got := digest(same, noon.Add(9*time.Hour)); got != first {
			t.Errorf("%s: %s is no repeat of %s", name, got, first)
		}
	}
	for name, other := range map[string][]byte{
		"another account": change("502", "1772438400", value),
		"another time":    change("501", "1772438401", value),
		"another value":   change("501", "1772438400", strings.Replace(value, "1.50", "1.51", 1)),
		"a missing key":   change("501", "1772438400", `{"event":"X","flow_id":"1"}`),
		"another type":    change("501", "1772438400", strings.Replace(value, `"1"`, "1", 1)),
		"another field":   bytes.Replace(change("501", "1772438400", value), []byte("flows"), []byte("other"), 1),
	} {
		if got := digest(other, noon); got == first {
			t.Errorf("%s: taken for a repeat", name)
		}
	}
	if !strings.HasPrefix(first, "1772438400-") {
		t.Errorf("the digest %s does not begin with the time", first)
	}
	for _, at := range []string{"null", "0", "-5", "true"} {
		timeless := change("501", at, value)
		if digest(timeless, noon) != digest(timeless, noon.Add(59*time.Minute)) ||
			digest(timeless, noon) == digest(timeless, noon.Add(time.Hour)) {
			t.Errorf("with the time %s the hour of arrival must stand in for it", at)
		}
	}
}

func TestTheTimeOfAnEventIsMetasUnlessItCannotBe(t *testing.T) {
	t.Parallel()
	meta := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for at, want := range map[string]time.Time{
		"1772438400": meta, `"1772438400"`: meta, "1772438400000": meta, "1772438400.0": meta, "1.7724384e9": meta,
		"1772438400.25":                meta.Add(250 * time.Millisecond),
		fmt.Sprint(noon.Unix() + 3599): noon.Add(3599 * time.Second), // a clock may be a little wrong
		fmt.Sprint(noon.Unix() + 3601): noon,
		"null":                         noon, "0": noon, "-5": noon, "1e400": noon, "1e300": noon, `"soon"`: noon, "{}": noon,
		"true": noon, "946684800": noon,
	} {
		events, _ := Decode(change("501", at, "{}"), noon, nil)
		if len(events) != 1 || !events[0].At.Equal(want) || events[0].At.Location() != time.UTC ||
			!events[0].Received.Equal(noon) {
			t.Errorf("time %s: got %+v, want %v", at, events, want)
		}
	}
}

func TestLongWordsAreCutAndTheValueIsKept(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 300)
	events, _ := Decode(change(long, "1772438400", `{"event":"`+long+`","message":"`+long+`"}`), noon, nil)
	e := events[0]
	if want := strings.Repeat("é", maxWord/2); e.WABA != want || e.Name != want {
		t.Errorf("got %d and %d bytes", len(e.WABA), len(e.Name))
	}
	if e.Message != long || !strings.Contains(string(e.Value), long) {
		t.Error("the message or the value was cut")
	}
}

func TestBytesThatAreNoTextAreMadeText(t *testing.T) {
	t.Parallel()
	events, _ := Decode(change("501", "1772438400",
		"{\"event\":\"A\xff\xfeB\",\"flow_id\":\"\\u0000\",\"x\":\"\xed\xa0\x80\"}"), noon, nil)
	e := events[0]
	if e.Name != "A\uFFFDB" || e.Flow != "\uFFFD" {
		t.Errorf("event %q of flow %q", e.Name, e.Flow)
	}
	storable(t, &e)
}

func TestNothingOfTheBodyIsKept(t *testing.T) {
	t.Parallel()
	for name, body := range fixtures(t) {
		events, _ := Decode(body, noon, WantsAll)
		want, _ := Decode(bytes.Clone(body), noon, WantsAll)
		clear(body) // the buffer goes to the next post
		if diff := cmp.Diff(want, events); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

// storable checks what the journal relies on.
func storable(t *testing.T, e *router.Event) {
	t.Helper()
	said := []string{e.Digest, e.WABA, e.Flow, e.Field, e.Name, e.AlertState, e.OldStatus, e.NewStatus, e.Message,
		e.Warning,
		e.Subject.ID, e.Subject.Name, e.Change, e.Signal}
	for _, f := range e.Facts {
		if f.Name == "" || f.Text == "" || len(f.Text) > 4*maxFact {
			t.Errorf("a fact says nothing, or too much: %+v", f)
		}
		said = append(said, f.Name, f.Text)
	}
	for _, s := range said {
		if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
			t.Errorf("%q is no text", s)
		}
	}
	if e.Digest == "" || len(e.Digest) > 150 || !utf8.Valid(e.Value) {
		t.Errorf("digest %q, value %q", e.Digest, e.Value)
	}
	stored, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var back router.Event
	if err := json.Unmarshal(stored, &back); err != nil || back.Name != e.Name || !bytes.Equal(back.Raw, e.Raw) {
		t.Errorf("comes back as %+v, %v", back, err)
	}
}

// FuzzDecode places a change between two good ones: whatever it is, the neighbours come out as ever.
func FuzzDecode(f *testing.F) {
	for _, body := range fixtures(f) {
		f.Add(body)
		for _, entry := range all(body, "entry") {
			for _, change := range all(entry, "changes") {
				f.Add(change)
			}
		}
	}
	for _, s := range []string{"", "null", "7", `"flows"`, "[]", "{}", `{"field":"flows","value":{"threshold":1e999}}`,
		"{\"field\":\"\xff\",\"value\":\"\xff\"}",
		`{"field":"flows","value":{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`,
		`{"\ud800":1,"field":"\u0000"}`} {
		f.Add([]byte(s))
	}
	const good = `{"field":"flows","value":{"event":"FLOW_STATUS_CHANGE","flow_id":"1","new_status":"DRAFT"}}`
	const last = `{"field":"flows","value":{"event":"FLOW_STATUS_CHANGE","flow_id":"2","new_status":"DRAFT"}}`
	neighbours, _ := Decode([]byte(`{"entry":[{"id":"501","time":1772438400,"changes":[`+good+`,`+last+`]}]}`), noon,
		WantsAll)
	f.Fuzz(func(t *testing.T, data []byte) {
		body := slices.Concat([]byte(`{"entry":[{"changes":[`+good+`,`), data,
			[]byte(`,`+last+`],"id":"501","time":1772438400}]}`))
		for _, post := range [][]byte{data, body} {
			for _, wants := range []Wants{nil, WantsAll} {
				events, ignored := Decode(post, noon, wants)
				if len(events)+ignored.Total() == 0 {
					t.Error("a post vanished")
				}
				for i := range events {
					storable(t, &events[i])
				}
			}
		}
		events, _ := Decode(body, noon, WantsAll)
		switch {
		case !json.Valid(body):
			if len(events) != 1 || !bytes.Equal(events[0].Raw, body) {
				t.Errorf("what is no JSON is not kept as it came: %+v", events)
			}
		case json.Valid(data):
			if diff := cmp.Diff(neighbours, []router.Event{events[0], events[len(events)-1]}); diff != "" {
				t.Errorf("a neighbour is lost: -want +got\n%s", diff)
			}
		}
	})
}

// all returns the elements under a key of an object.
func all(raw []byte, key string) (found [][]byte) {
	members(raw, func(k, value []byte) {
		if string(k) == key {
			found = slices.AppendSeq(found, elements(value))
		}
	})
	return found
}
