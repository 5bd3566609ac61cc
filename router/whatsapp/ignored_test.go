package whatsapp

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

// chats are fields that hold what people write, each with the name that it is counted by.
var chats = map[string]string{
	"standby": "standby", "message_echoes": "message_echoes", "smb_message_echoes": "smb_message_echoes",
	"smb_app_state_sync": "smb_app_state_sync",
	"history":            "history", "calls": "calls", "user_preferences": "user_preferences",
	"user_id_update":         "user_id_update",
	"group_lifecycle_update": "group_*", "group_participants_update": "group_*", "group_settings_update": "group_*",
	"group_status_update": "group_*",
	"consumer_profile":    "consumer_profile", "messaging_handovers": "messaging_handovers",
	"automatic_events":   "automatic_events",
	"marketing_messages": "marketing_messages*", "marketing_messages_link_clicks": "marketing_messages*",
	"tracking_events":  "tracking_events",
	"message_deletion": "message_deletion",
}

func chatChange(field string) string {
	return fmt.Sprintf(
		`{"field":%q,"value":{"messaging_product":"whatsapp","contacts":[{"wa_id":"15550100200"}],"text":{"body":"about my order"}}}`, field)
}

func TestWhatPeopleWriteIsNeverAnEventUnlessARuleNamesTheField(t *testing.T) {
	t.Parallel()
	const flow = `{"field":"flows","value":{"event":"FLOW_STATUS_CHANGE","flow_id":"1"}}`
	for field, counted := range chats {
		for name, changes := range map[string]string{"alone": chatChange(field), "beside a flow": chatChange(field) + "," +
			flow} {
			body := fmt.Appendf(nil, `{"entry":[{"id":"501","time":1772438400,"changes":[%s]}]}`, changes)
			in := newIntake(t, Config{})
			in.signed(t, body, http.StatusOK)
			for _, e := range in.journal.events {
				if e.Field != fieldFlows || bytes.Contains(e.Value, []byte("15550100200")) {
					t.Errorf("%s %s: stored %+v", field, name, e)
				}
			}
			if got := in.metric(t, fmt.Sprintf(`flowbridge_changes_let_go_total{field=%q}`, counted)); got != "1" {
				t.Errorf("%s %s: %s counted", field, name, got)
			}
			in = newIntake(t, Config{WantsField: func(asked string) bool { return asked == field }})
			in.signed(t, body, http.StatusOK)
			if len(in.journal.events) == 0 || in.journal.events[0].Name != strings.ToUpper(field) {
				t.Errorf("%s %s: a rule names it, and there is %+v", field, name, in.journal.events)
			}
		}
	}
}

func TestPostsOfOtherProductsAreNoEvents(t *testing.T) {
	t.Parallel()
	const feed = `"entry":[{"id":"1","time":1772438400,"changes":[{"field":"feed","value":{"message":"a post","from":{"name":"A person"}}}]}]`
	for name, body := range map[string]string{
		"a page":                      `{"object":"page",` + feed + `}`,
		"a page that says so last":    `{` + feed + `,"object":"page"}`,
		"instagram":                   `{"object":"instagram",` + feed + `}`,
		"a user":                      `{"object":"user","entry":[{"uid":"0","id":"0","time":1772438400,"changed_fields":["location"]}]}`,
		"permissions":                 `{"object":"permissions","entry":[]}`,
		"messenger":                   `{"object":"page","entry":[{"id":"1","time":1772438400123,"messaging":[{"sender":{"id":"2"},"message":{"text":"hello"}}]}]}`,
		"messenger without an object": `{"entry":[{"id":"1","time":1772438400123,"messaging":[{"message":{"text":"hello"}}]}]}`,
		"messenger's standby":         `{"entry":[{"id":"1","standby":[{"message":{"text":"hello"}}]}]}`,
		"no object at all":            `{"object":"something_new","entry":null}`,
	} {
		in := newIntake(t, Config{})
		in.signed(t, []byte(body), http.StatusOK)
		if in.journal.calls != 0 {
			t.Errorf("%s: stored %+v", name, in.journal.events)
		}
		if got := in.metric(t, `flowbridge_changes_let_go_total{field="other_product"}`); got != "1" {
			t.Errorf("%s: %s counted", name, got)
		}
		object, _, _ := strings.Cut(strings.TrimPrefix(body[strings.Index(body, `"object":`)+1:], `object":"`), `"`)
		if !strings.Contains(in.log.String(), "another product") || strings.Contains(body, `"object"`) &&
			!strings.Contains(in.log.String(), "object="+object) || strings.Contains(in.log.String(), "hello") {
			t.Errorf("%s: the log says %s", name, in.log)
		}
	}
	in := newIntake(t, Config{})
	in.signed(t, []byte(`{"object":"whatsapp_business_account",`+feed+`}`), http.StatusOK)
	if len(in.journal.events) != 1 {
		t.Errorf("an unknown field of an account of ours: %+v", in.journal.events)
	}
}

func TestAFormThatNoRuleWantsIsLetGo(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{
		WantsField: func(field string) bool { return field == router.MessagesField },
		Wants:      func(e *router.Event) bool { return e.WABA == "502" },
	})
	for _, waba := range []string{"501", "502"} {
		in.signed(t, form(waba, "wamid."+waba, "1772438400", `{"email":"customer@example.com"}`), http.StatusOK)
	}
	var stored []string
	for _, e := range in.journal.events {
		stored = append(stored, e.WABA)
	}
	if diff := cmp.Diff([]string{"502"}, stored); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := in.metric(t, `flowbridge_changes_let_go_total{field="messages"}`); got != "1" {
		t.Errorf("%s counted", got)
	}
}

// metric reads one line of what was counted.
func (in *intake) metric(t *testing.T, name string) string {
	t.Helper()
	families, err := in.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if fmt.Sprintf("%s{%s=%q}", family.GetName(), label.GetName(), label.GetValue()) == name {
					return fmt.Sprint(m.GetCounter().GetValue())
				}
			}
		}
	}
	t.Fatalf("%s is not counted", name)
	return ""
}
