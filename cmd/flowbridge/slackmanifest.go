package main

import (
	"net/url"
	"strconv"
	"strings"
	"text/template"
	"unicode/utf8"
)

type slackManifestCommand struct {
	URL    string `name:"url" xor:"way" required:"" placeholder:"URL" help:"Where Slack reaches the --listen address of the bridge."`
	Socket bool   `xor:"way" required:"" help:"Socket Mode: the bridge calls Slack, which needs no public address."`
	Least  bool   `help:"Ask for two scopes only, chat:write and commands: the bot must be invited to each channel, and after a crash a card may be posted twice."`
	Name   string `default:"flowbridge" help:"What the app is called in Slack."`
}

// maxAppName is Slack's limit, in characters.
const maxAppName = 35

// slackManifest is the app as Slack's form takes it. Scopes stand there for a reason each, and none without. What a
// person chooses is quoted as Go does in ASCII, which means the same in YAML.
var slackManifest = template.Must(template.New("manifest").Funcs(template.FuncMap{"quote": strconv.QuoteToASCII}).Parse(
	`# Paste this at https://api.slack.com/apps -> Create New App -> From a manifest.
display_information:
  name: {{quote .Name}}
  description: WhatsApp Flows incidents, and what to do about them
features:
  bot_user:
    display_name: {{quote .Name}}
    always_online: true
  slash_commands:
    - command: /flows
      description: What is wrong with our WhatsApp Flows
      usage_hint: "[42 | ack 42 | resolve 42 | silence 42 4h | help]"
      should_escape: false
{{- if .URL}}
      url: {{quote (printf "%s/slack/commands" .URL)}}
{{- end}}
oauth_config:
  scopes:
    bot:
      - chat:write # post and edit cards
{{- if .Least}}
      - commands # /flows
{{- else}}
      - chat:write.public # in public channels that the app has not joined
      - channels:read # find a channel by its #name
      - groups:read # the same for private channels that invited the app
      - channels:join # join a public channel, so that its history can be read
      - channels:history # after a crash: look for a card before posting it again
      - groups:history # the same in private channels that invited the app
      - commands # /flows
      - usergroups:read # who is in a user group that the rules allow to act
{{- end}}
settings:
  interactivity:
    is_enabled: true
{{- if .URL}}
    request_url: {{quote (printf "%s/slack/actions" .URL)}}
{{- end}}
  org_deploy_enabled: false
  socket_mode_enabled: {{.Socket}}
  token_rotation_enabled: false
`))

// Run prints the manifest.
func (c slackManifestCommand) Run(p *program) error {
	if n := utf8.RuneCountInString(c.Name); n == 0 || n > maxAppName {
		return wrongUsage("--name: Slack takes names of 1 to %d characters", maxAppName)
	}
	if c.URL != "" {
		if err := webAddress("--url", c.URL); err != nil {
			return wrongUsage("%w", err)
		}
		u, err := url.Parse(c.URL)
		switch {
		case err != nil:
			return wrongUsage("--url: %q is no address", c.URL)
		case u.Scheme != "https":
			return wrongUsage("--url: Slack calls https addresses only; without one use --socket")
		case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
			return wrongUsage("--url: %q is more than an address: leave out what follows the path and who calls", u.Redacted())
		}
		c.URL = strings.TrimRight(c.URL, "/")
	}
	return slackManifest.Execute(p.Stdout, c)
}
