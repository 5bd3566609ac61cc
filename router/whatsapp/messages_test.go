package whatsapp

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"flowbridge/router"
)

// form is a post with an answer to a flow in it. time is that of the message, as JSON.
func form(waba, id, time, answers string) []byte {
	quoted, _ := json.Marshal(answers)
	return fmt.Appendf(nil,
		`{"entry":[{"id":%q,"changes":[{"field":"messages","value":{"messages":[{"id":%q,"from":"15550100200","timestamp":%s,"interactive":{"type":"nfm_reply","nfm_reply":{"name":"flow","body":"Sent","response_json":%s}}}]}}]}]}`,
		waba, id, time, quoted)
}

func oneForm(t *testing.T, body []byte) router.Event {
	t.Helper()
	events, ignored := Decode(body, noon, WantsAll)
	if len(events) != 1 || len(ignored) != 0 || events[0].Name != router.FlowResponse {
		t.Fatalf("%s: %v let go, events %+v", body, ignored, events)
	}
	storable(t, &events[0])
	return events[0]
}

func TestAFormIsToldOnceByTheIdOfItsMessage(t *testing.T) {
	t.Parallel()
	first := oneForm(t, form("501", "wamid.1", `"1772438400"`, `{"a":1}`)).Digest
	for name, same := range map[string][]byte{
		"through another account": form("502", "wamid.1", `"1772438400"`, `{"a":1}`),
		"with a number as time":   form("501", "wamid.1", "1772438400", `{"a":1}`),
		"with other answers":      form("501", "wamid.1", `"1772438400"`, `{"a":2}`),
	} {
		if got := oneForm(t, same).Digest; got != first {
			t.Errorf("%s: %s is no repeat of %s", name, got, first)
		}
	}
	if oneForm(t, form("501", "wamid.2", `"1772438400"`, `{"a":1}`)).Digest == first {
		t.Error("another message is taken for a repeat")
	}
	if oneForm(t, form("501", "", `"1772438400"`, `{"a":1}`)).Digest == oneForm(t,
		form("501", "", `"1772438400"`, `{"a":2}`)).Digest {
		t.Error("without an id the answers must tell two forms apart")
	}
}

func TestAnswersAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 9_999) + strings.Repeat("]", 9_999)
	for name, c := range map[string]struct{ answers, want string }{
		"an object":           {`{"b":[true,null],"a":15550100200123456789}`, `{"a":15550100200123456789,"b":[true,null]}`},
		"a huge number":       {`{"a":1e999}`, `{"a":1e999}`},
		"a list":              {`[1]`, `[1]`},
		"a word":              {`null`, `null`},
		"no JSON":             {`Sent`, `"Sent"`},
		"cut short":           {`{"a":`, `"{\"a\":"`},
		"more behind it":      {`{"a":1}{"b":2}`, `"{\"a\":1}{\"b\":2}"`},
		"nothing":             {``, `""`},
		"a key twice":         {`{"a":1,"a":2}`, `{"a":2}`},
		"NUL":                 {`{"a":"\u0000"}`, `{"a":"\u0000"}`},
		"too deeply nested":   {deep, `"` + deep + `"`},
		"far too much nested": {deep + deep, `"` + deep + deep + `"`},
	} {
		var value struct {
			Response json.RawMessage
		}
		if err := json.Unmarshal(oneForm(t, form("501", "wamid.1", "1772438400", c.answers)).Value, &value); err != nil ||
			string(value.Response) != c.want {
			t.Errorf("%s: got %.100s, %v", name, value.Response, err)
		}
	}
}

func TestTheFlowTokenIsTakenOutOfTheAnswers(t *testing.T) {
	t.Parallel()
	for answers, want := range map[string]string{`{"flow_token":"t-1"}`: "t-1", `{"flow_token":7}`: "", `{}`: "", `[]`: "",
		`x`: ""} {
		var value struct {
			Token string `json:"flow_token"`
		}
		if err := json.Unmarshal(oneForm(t, form("501", "wamid.1", "1772438400", answers)).Value, &value); err != nil ||
			value.Token != want {
			t.Errorf("%s: got %q, %v", answers, value.Token, err)
		}
	}
}
