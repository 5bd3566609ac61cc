package rules

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

// personal is a rules file with one notifier and some rules.
func personal(t *testing.T, rules string) *Rules {
	t.Helper()
	file := "version: 1\nnotifiers:\n  chat: {kind: slack, channel: \"#chat\"}\nrules:\n" + rules +
		"default: {notify: [chat]}\n"
	r, err := Load("rules.yaml", []byte(file), Config{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOnlyARuleThatNamesThemIsAskedAboutPeoplesWords(t *testing.T) {
	call := router.Event{Source: router.SourceMeta, Field: "calls", Name: "CALLS", WABA: "501"}
	form := router.Event{Source: router.SourceMeta, Field: "messages", Name: router.FlowResponse, WABA: "501"}
	group := router.Event{Source: router.SourceMeta, Field: "group_status_update", Name: "GROUP_STATUS_UPDATE",
		WABA: "501"}
	for name, c := range map[string]struct {
		rule string
		want []string // events that somebody is told of
	}{
		"a rule for everything":    {`{name: r, match: {}, notify: [chat]}`, nil},
		"a rule for an account":    {`{name: r, match: {waba: "501"}, notify: [chat]}`, nil},
		"a rule for another field": {`{name: r, match: {field: flows}, notify: [chat]}`, nil},
		"the event's name":         {`{name: r, match: {event: CALLS}, notify: [chat]}`, []string{"CALLS"}},
		"the field's name":         {`{name: r, match: {field: calls}, notify: [chat]}`, []string{"CALLS"}},
		"a field of a family": {`{name: r, match: {field: group_status_update}, notify: [chat]}`,
			[]string{"GROUP_STATUS_UPDATE"}},
		"forms": {`{name: r, match: {event: FLOW_RESPONSE}, notify: [chat]}`,
			[]string{router.FlowResponse}},
		"the field of forms":          {`{name: r, match: {field: messages}, notify: [chat]}`, nil},
		"forms of another account":    {`{name: r, match: {event: FLOW_RESPONSE, waba: "502"}, notify: [chat]}`, nil},
		"forms of a flow: none names": {`{name: r, match: {event: FLOW_RESPONSE, flow: "1"}, notify: [chat]}`, nil},
		"forms, dropped":              {`{name: r, match: {event: FLOW_RESPONSE}, drop: true}`, nil},
	} {
		r := personal(t, "  - "+c.rule+"\n")
		var told, wanted []string
		for _, ev := range []router.Event{call, form, group} {
			if len(r.Decide(&ev).Notify) > 0 {
				told = append(told, ev.Name)
			}
			if r.Wants(&ev) {
				wanted = append(wanted, ev.Name)
			}
			if r.Wants(&ev) && !r.WantsField(ev.Field) {
				t.Errorf("%s: %s is wanted, and nobody wants its field", name, ev.Name)
			}
		}
		if diff := cmp.Diff([][]string{c.want, c.want}, [][]string{told, wanted}); diff != "" {
			t.Errorf("%s: -want +told and wanted\n%s", name, diff)
		}
	}
}

func TestWhatIsWantedIsSaidWithoutExpressionsAndTime(t *testing.T) {
	form := router.Event{Source: router.SourceMeta, Field: "messages", Name: router.FlowResponse, WABA: "501"}
	const drop, notify = "  - {name: d, match: {event: FLOW_RESPONSE%s}, drop: true}\n",
		"  - {name: n, match: {event: FLOW_RESPONSE%s}, notify: [chat]}\n"
	with := func(rule, more string) string { return strings.ReplaceAll(rule, "%s", more) }
	const fails = `, when: 'value.response.topic == "x"'`
	for name, c := range map[string]struct {
		rules string
		want  bool
	}{
		"an expression":                     {with(notify, fails), true},
		"dropped before":                    {with(drop, "") + with(notify, ""), false},
		"perhaps dropped before":            {with(drop, fails) + with(notify, ""), true},
		"dropped before in another account": {with(drop, `, waba: "502"`) + with(notify, ""), true},
		"dropped after":                     {with(notify, `, waba: "502"`) + with(drop, ""), false},
	} {
		if got := personal(t, c.rules).Wants(&form); got != c.want {
			t.Errorf("%s: wanted is %v", name, got)
		}
	}
}
