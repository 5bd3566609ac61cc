package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"flowbridge/router/store"
	"flowbridge/router/whatsapp"
)

const personalRules = `version: 1
notifiers:
  chat: {kind: slack, channel: "#ops"}
rules:
  - name: spam
    match: {event: FLOW_RESPONSE, when: 'value.response.topic == "spam"'}
    drop: true
  - name: delivery
    match: {event: FLOW_RESPONSE, when: 'value.response.topic == "delivery"'}
    fields: [topic, email]
    notify: [chat]
  - name: flows that are known to fail
    match: {event: FLOW_STATUS_CHANGE, flow: "4"}
    drop: true
default: {notify: [chat]}
`

// formPost is a form that somebody filled, in a post.
func formPost(at time.Time, n int, phone, topic, email string) string {
	return fmt.Sprintf(
		`{"object":"whatsapp_business_account","entry":[{"id":"501","changes":[{"field":"messages","value":{"messages":[{"id":"wamid.story.%d",
		"from":%q,"timestamp":"%d","type":"interactive","interactive":{"type":"nfm_reply","nfm_reply":{"name":"flow","body":"Sent",
		"response_json":"{\"topic\":\"%s\",\"email\":\"%s\",\"note\":\"note-%d\"}"}}}]}}]}]}`, n, phone, at.Unix(), topic,
		email, n)
}

// readable says which of some texts can be read in the files of a database.
func readable(t *testing.T, db string, texts ...string) (found []string) {
	t.Helper()
	files, err := filepath.Glob(db + "*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		for _, text := range texts {
			if bytes.Contains(data, []byte(text)) {
				found = append(found, text+" in "+filepath.Base(file))
			}
		}
	}
	return found
}

// TestOfPeopleOnlyWhatIsNeededIsHeld reads the files of a database beside a bridge that runs: after forms were folded,
// after a person was forgotten, and after what is old was removed.
func TestOfPeopleOnlyWhatIsNeededIsHeld(t *testing.T) {
	t.Parallel()
	const phone, other = "15550100200", "15550100201"
	dir, began := t.TempDir(), time.Now()
	rules, db := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "bridge.db")
	if err := os.WriteFile(rules, []byte(personalRules), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServices(t, "#ops")
	unread(t, db)
	s.env = append(s.env, "FLOWBRIDGE_SWEEP_EVERY=50ms")
	p := start(t, s, rules, db)

	p.post(t, formPost(began, 1, phone, "delivery", "one@example.com"), 200)
	p.post(t, formPost(began, 2, other, "delivery", "two@example.com"), 200)
	p.post(t, formPost(began, 3, phone, "spam", "three@example.com"), 200)
	p.post(t, formPost(began, 4, phone, "unknown", "four@example.com"), 200)
	for _, field := range []string{"history", "calls", "group_participants_update"} {
		p.post(t, fmt.Sprintf(`{"entry":[{"id":"501","time":%d,"changes":[{"field":%q,"value":{"text":"words under %s"}}]}]}`,
			time.Now().Unix(), field, field), 200)
	}
	p.post(t,
		`{"object":"page","entry":[{"id":"1","changes":[{"field":"feed","value":{"message":"words on a page"}}]}]}`, 200)
	p.post(t,
		fmt.Sprintf(
			`{"entry":[{"id":"501","time":%d,"changes":[{"field":"flows","value":{"event":"FLOW_STATUS_CHANGE","flow_id":"4","new_status":"DRAFT",
		"message":"words that a rule drops"}}]}]}`, time.Now().Unix()), 200)
	eventually(t, "all is folded and told", func() bool {
		return len(s.Slack.Messages("#ops")) == 2 && p.counter(t, "flowbridge_events_folded_total") == 5
	})
	never := []string{phone, other, "three@example.com", "four@example.com", "note-1", "note-2", "words under",
		"words on a page", "words that a rule drops", "d29yZHMgb2YgYSB3ZWVrIGFnb"}
	eventually(t, "only what rules show can be read", func() bool { return len(readable(t, db, never...)) == 0 })
	if found := readable(t, db, "one@example.com", "two@example.com"); len(found) < 2 {
		t.Errorf("what rules show is not there: %v", found)
	}

	out := p.command(t, "forget", "--phone", "+1 (555) 010-0200")
	for _, line := range []string{"events               1", "notices              1", "chat  slack  notice of event"} {
		if !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(line), " ")) {
			t.Errorf("forget does not say %q:\n%s", line, out)
		}
	}
	eventually(t, "the person is forgotten", func() bool { return len(readable(t, db, "one@example.com")) == 0 })
	if found := readable(t, db, "two@example.com"); len(found) == 0 {
		t.Error("another person was forgotten too")
	}
	if strings.Contains(p.stderr.String(), phone) {
		t.Error("the log names who was forgotten")
	}
	p.post(t, formPost(began, 1, phone, "delivery", "one@example.com"), 200)
	if got := p.counter(t, "flowbridge_events_repeated_total"); got != 1 {
		t.Errorf("%d repeats are known, want 1", got)
	}

	if err := p.stop(t); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "FLOWBRIDGE_KEEP_EVENTS=1s", "FLOWBRIDGE_KEEP_INCIDENTS=1s")
	p = start(t, s, rules, db)
	if !strings.Contains(p.stderr.String(), "their digests stay for longer") {
		t.Errorf("it does not say that digests stay:\n%s", p.stderr)
	}
	eventually(t, "what is old is gone", func() bool { return len(readable(t, db, "two@example.com")) == 0 })
	p.post(t, formPost(began, 2, other, "delivery", "two@example.com"), 200)
	if got := p.counter(t, "flowbridge_events_repeated_total"); got != 1 || len(s.Slack.Messages("#ops")) != 2 {
		t.Errorf("%d repeats are known, %d messages", got, len(s.Slack.Messages("#ops")))
	}
}

// unread puts a post that could not be read into a database, as one that came more than a week ago.
func unread(t *testing.T, db string) {
	t.Helper()
	ctx := context.Background()
	s, err := store.Open(ctx, store.Config{DSN: db})
	if err != nil {
		t.Fatal(err)
	}
	events, _ := whatsapp.Decode([]byte(`words of a week ago`), time.Now().Add(-8*24*time.Hour), nil)
	if _, err := s.Append(ctx, events); err != nil {
		t.Fatal(err)
	}
	if len(readable(t, db, "d29yZHMgb2YgYSB3ZWVrIGFnb")) == 0 { // Base64
		t.Error("the body is not stored: the test looks for the wrong thing")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// command runs the program against the bridge and returns what it prints.
func (p *process) command(t *testing.T, args ...string) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "FLOWBRIDGE_ADMIN="+p.Admin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("flowbridge %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
