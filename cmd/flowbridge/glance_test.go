package main

import (
	"strings"
	"testing"

	"flowbridge/notifiers/sandbox"
)

const glanceRules = `version: 1
notifiers: {ops: {kind: slack, channel: "#ops"}}
default: {notify: [ops]}
`

func TestServeSaysAtItsStartWhatWillNotWork(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env   []string
		fault *sandbox.Fault
		want  []string
	}{
		"no buttons": {nil, nil, []string{
			`"level":"INFO","msg":"slack token: `,
			`"level":"WARN","msg":"slack buttons: no buttons: neither SLACK_SIGNING_SECRET nor SLACK_APP_TOKEN is set`,
		}},
		"a token that Slack refuses": {[]string{"SLACK_BOT_TOKEN=xoxb-another"}, nil, []string{
			`"level":"ERROR","msg":"slack token: Slack says invalid_auth","do":"set SLACK_BOT_TOKEN`,
		}},
		"Slack hangs, and the start waits for nobody": {nil, &sandbox.Fault{Method: "auth.test", Hang: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServices(t, "#ops")
			s.env = append(s.env, c.env...)
			if c.fault != nil {
				s.Slack.Fail(*c.fault)
			}
			dir := t.TempDir()
			writeFile(t, dir+"/rules.yaml", glanceRules)
			p := start(t, s, dir+"/rules.yaml", dir+"/bridge.db")
			for _, want := range c.want {
				eventually(t, want, func() bool { return strings.Contains(p.stderr.String(), want) })
			}
			if strings.Contains(p.stderr.String(), "xoxb-") && !strings.Contains(p.stderr.String(), "(xoxb-...)") {
				t.Errorf("the token is in the log:\n%s", p.stderr)
			}
			must(t, p.stop(t))
		})
	}
}
