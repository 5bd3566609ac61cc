package whatsapp

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"flowbridge/router"
)

func TestPostsOfChatAloneAreSeen(t *testing.T) {
	t.Parallel()
	const message = `{"field":"messages","value":{"messages":[{"text":{"body":"a \"b\" \\"}}]}}`
	for body, want := range map[string]int{
		`{"entry":[{"changes":[` + message +
			`]}]}`: 1,
		` { "entry" : [ { "id" : "5" , "changes" : [ ` + message + ` , ` + message +
			` ] , "x" : 7 } ] } `: 2,
		`{"a":[{"b":"]}"}],"entry":[{"changes":[` + message + `]},{"changes":[` + message +
			`],"time":1}],"b":null}`: 2,
		`{"entry":[{"changes":[{"value":1.5e3 ,"field":"messages"}]}]}`:            1,
		`{"entry":[{"changes":[{"value":{"field":"flows"},"field":"messages"}]}]}`: 1,
		`{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"history","value":{"field":"flows"}},` +
			message + `]}]}`: 2,
		`{"entry":[{"changes":[{"field":"group_participants_update","value":null}]}]}`: 1,
	} {
		if ignored, ok := onlyIgnored([]byte(body), nil); !ok || ignored.Total() != want {
			t.Errorf("%s: %v, %v", body, ignored, ok)
		}
	}
}

func TestWhatIsWantedIsLeftToTheDecoder(t *testing.T) {
	t.Parallel()
	form, calls := sample(t, Sample{Event: router.FlowResponse}),
		[]byte(`{"entry":[{"changes":[{"field":"calls","value":{}}]}]}`)
	for name, c := range map[string]struct {
		body  []byte
		wants string
		skims bool
	}{
		"a form that is wanted":                {form, "messages", false},
		"a message while forms are wanted":     {sample(t, Sample{Event: SampleMessage}), "messages", true},
		"a form while calls are wanted":        {form, "calls", true},
		"a call that is wanted":                {calls, "calls", false},
		"a call while other fields are wanted": {calls, "history", true},
	} {
		if _, ok := onlyIgnored(c.body, func(field string) bool { return field == c.wants }); ok != c.skims {
			t.Errorf("%s: let go unseen is %v", name, ok)
		}
	}
}

func TestWhatIsNotCertainIsLeftToTheDecoder(t *testing.T) {
	t.Parallel()
	const message = `{"field":"messages","value":{}}`
	for _, body := range []string{
		"", "{", "null", "[]", "7", `"entry"`, `{}`, `{"entry":[]}`, `{"entry":{}}`, `{"entry":[null]}`, `{"entry":[{}]}`,
		`{"entry":[{"changes":[]}]}`,
		`{"entry":[{"changes":[{}]}]}`, `{"entry":[{"changes":[null]}]}`, `{"entry":[{"changes":["messages"]}]}`,
		`{"entry":[{"changes":` + message + `}]}`,
		`{"entry":[{"changes":[` + message + `,{"field":"flows","value":{}}]}]}`,
		`{"entry":[{"changes":[` + message + `]},{"changes":[{"field":"flows","value":{}}]}]}`,
		`{"entry":[{"changes":[` + message + `]},{}]}`,
		`{"entry":[{"changes":[` + message + `],"changes":[{"field":"flows","value":{}}]}]}`,
		`{"entry":[{"changes":[` + message + `],"changed_fields":["flows"]}]}`,
		`{"entry":[{"changes":[` + message + `],"chang\u0065s":[{"field":"flows","value":{}}]}]}`,
		`{"entry":[{"changes":[` + message + `]}],"\u0065ntry":[{"changes":[{"field":"flows","value":{}}]}]}`,
		`{"entry":[{"changes":[{"field":"messages","fi\u0065ld":"flows","value":{}}]}]}`,
		`{"entry":[{"changes":[{"field":"messages","field":"flows","value":{}}]}]}`,
		`{"entry":[{"changes":[{"field":"flows","field":"messages","value":{}}]}]}`,
		`{"entry":[{"changes":[{"field":"mess\u0061ges"}]}]}`,
		`{"object":"page","entry":[{"changes":[` + message + `]}]}`, `{"object":null,"entry":[{"changes":[` + message +
			`]}]}`,
		`{"entry":[{"changes":[{"field":"histor","value":{}}]}]}`, `{"entry":[{"changes":[{"field":"","value":{}}]}]}`,
		`{"entry":[{"changes":[` + message + `]}]}{}`, `{"entry":[{"changes":[` + message + `]}]`, `{"entry":[{"changes":[` +
			message + `]}],}`,
	} {
		if ignored, ok := onlyIgnored([]byte(body), nil); ok {
			t.Errorf("%s: taken for %v", body, ignored)
		}
	}
}

// post draws a post that is nearly one of Meta's.
func post(t *rapid.T) string {
	space := rapid.SampledFrom([]string{"", "", " ", "\n\t"})
	value := rapid.SampledFrom([]string{"null", "7", "-1.5e3 ", `"a"`, `"\"}]\\"`, "[]", `{"field":"flows","changes":[]}`,
		`[{"entry":[1,"]"]}]`, `{"messages":[]}`})
	object := func(members ...string) string {
		return space.Draw(t, "space") + "{" + strings.Join(rapid.Permutation(members).Draw(t, "order"),
			space.Draw(t, "space")+",") + "}" + space.Draw(t, "space")
	}
	list := func(of func() string) string {
		elements := make([]string, rapid.IntRange(0, 3).Draw(t, "elements"))
		for i := range elements {
			elements[i] = of()
		}
		return "[" + strings.Join(elements, ",") + "]"
	}
	member := func(key string, value string) string { // 17, since rapid draws the ends of a range often
		if rapid.IntRange(0, 30).Draw(t, "odd key") == 17 {
			key = rapid.SampledFrom([]string{"entry", "changes", "changed_fields", "field", `fi\u0065ld`, `chang\u0065s`,
				"Field"}).Draw(t, "key")
		}
		return `"` + key + `"` + space.Draw(t, "space") + ":" + space.Draw(t, "space") + value
	}
	odd := func(normal string) string {
		if rapid.IntRange(0, 30).Draw(t, "odd value") == 17 {
			return value.Draw(t, "value")
		}
		return normal
	}
	field := rapid.SampledFrom([]string{`"messages"`, `"messages"`, `"messages"`, `"messages"`, `"messages"`, `"messages"`,
		`"history"`, `"group_status_update"`, `"flows"`, `"mess\u0061ges"`, `"message"`})
	change := func() string {
		return odd(object(member("field", field.Draw(t, "field")), member("value", value.Draw(t, "value")),
			member("x", value.Draw(t, "value"))))
	}
	entry := func() string {
		return odd(object(member("id", `"501"`), member("changes", odd(list(change))), member("x", value.Draw(t, "value"))))
	}
	return odd(object(member("object", odd(`"whatsapp_business_account"`)), member("entry", odd(list(entry)))))
}

func TestWhatIsLetGoUnseenWouldHaveBeenLetGoSeen(t *testing.T) {
	t.Parallel()
	seen := 0
	rapid.Check(t, func(t *rapid.T) {
		body := []byte(post(t))
		if !json.Valid(body) {
			t.Fatalf("the test draws what is no JSON: %s", body)
		}
		if agreesWithDecoder(t, body) {
			seen++
		}
	})
	if seen == 0 && !testing.Short() {
		t.Error("no post was let go: the test draws the wrong ones")
	}
}

// agreesWithDecoder holds onlyIgnored against the decoder.
func agreesWithDecoder(t interface{ Errorf(string, ...any) }, body []byte) bool {
	skimmed, ok := onlyIgnored(body, nil)
	if !ok {
		return false
	}
	events, ignored := Decode(body, noon, nil)
	if diff := cmp.Diff(ignored, skimmed); len(events) > 0 || diff != "" {
		t.Errorf("%s: the decoder finds %d events; what it lets go: -decoded +skimmed\n%s", body, len(events), diff)
	}
	return true
}

// FuzzOnlyIgnored holds onlyIgnored against the decoder, and the walker against encoding/json.
func FuzzOnlyIgnored(f *testing.F) {
	for _, body := range fixtures(f) {
		f.Add(body)
	}
	f.Add(sample(f, Sample{Event: SampleMessage}))
	f.Add([]byte(`{"entry":[{"changes":[{"field":"messages","value":{"a":"\\\"","b":[1 , true]}}],"id":"5"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			onlyIgnored(body, nil)
			return
		}
		agreesWithDecoder(t, body)
		checkMembers(t, body)
		checkElements(t, body)
	})
}

func checkMembers(t *testing.T, raw []byte) {
	var want map[string]json.RawMessage
	isObject := json.Unmarshal(raw, &want) == nil && want != nil
	got := map[string]json.RawMessage{}
	if members(raw, func(key, value []byte) { got[string(bytes.ToValidUTF8(key, []byte("?")))] = value }) != isObject {
		t.Errorf("%s: object is %v", raw, isObject)
	}
	for key, value := range want {
		if strings.ContainsRune(key, '\uFFFD') { // bytes that are no text are told apart here, and not there
			return
		}
		if diff := cmp.Diff(string(value), string(got[key])); diff != "" {
			t.Errorf("%s: member %q: -want +got\n%s", raw, key, diff)
		}
	}
	if isObject && len(got) != len(want) {
		t.Errorf("%s: %d members, want %d", raw, len(got), len(want))
	}
}

func checkElements(t *testing.T, raw []byte) {
	var want, got []json.RawMessage
	trimmed := bytes.TrimSpace(raw)
	if json.Unmarshal(trimmed, &want) != nil {
		want = []json.RawMessage{trimmed}
	}
	for element := range elements(trimmed) {
		got = append(got, element)
	}
	if len(want) == 0 && len(got) == 0 {
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: elements: -want +got\n%s", raw, diff)
	}
}
