package slack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"flowbridge/notifiers"
	"flowbridge/router"
)

// doctorAnswer is what Slack's methods answer, as far as the doctor asks.
type doctorAnswer struct {
	OK     bool
	Error  string
	Needed string // of missing_scope

	Team         string
	User         string
	BotID        string `json:"bot_id"`
	EnterpriseID string `json:"enterprise_id"` // of the Enterprise Grid that the workspace belongs to

	Channel  doctorChannel
	Channels []doctorChannel
	Metadata struct {
		NextCursor string `json:"next_cursor"`
	} `json:"response_metadata"`
}

type doctorChannel struct {
	ID         string
	Name       string
	IsArchived bool `json:"is_archived"`
	IsMember   bool `json:"is_member"`
	IsPrivate  bool `json:"is_private"`
}

const (
	doSlackToken = "set SLACK_BOT_TOKEN to the Bot User OAuth Token (xoxb-...) of a Slack app that is installed: OAuth " +
		"& Permissions"
	doSlackURL = "check the network, a proxy in between, and SLACK_API_URL"
)

// examination is the state of one look of the doctor.
type examination struct{ *notifiers.Doctor }

// Examine looks at the token, its scopes, every channel of the rules, and what buttons need.
func Examine(ctx context.Context, doctor *notifiers.Doctor) []notifiers.Finding {
	d := &examination{doctor}
	targets := d.Targets
	switch {
	case d.Unread("SLACK_BOT_TOKEN"): // said already
		return nil
	case d.Secret("SLACK_BOT_TOKEN") == "" && !d.RulesRead:
		return []notifiers.Finding{notifiers.Warn("slack",
			"not checked: SLACK_BOT_TOKEN is not set, and the rules cannot be read", "mend the rules first")}
	case d.Secret("SLACK_BOT_TOKEN") == "" && len(targets) == 0:
		return []notifiers.Finding{notifiers.Fine("slack", "not used: no notifier is of Slack")}
	case d.Secret("SLACK_BOT_TOKEN") == "":
		return []notifiers.Finding{notifiers.Fail("slack token",
			fmt.Sprintf("SLACK_BOT_TOKEN is not set, and notifier %s is of Slack", targets[0].Notifier), doSlackToken)}
	}
	finding, said, scopes := d.checkToken(ctx)
	findings := []notifiers.Finding{finding}
	if finding.Status == notifiers.StatusFail {
		return append(findings, d.checkButtons())
	}
	buttons := d.Secret("SLACK_SIGNING_SECRET") != "" || d.Secret("SLACK_APP_TOKEN") != ""
	findings = append(findings, checkScopes(scopes, buttons))
	if buttons && said.EnterpriseID != "" && !slices.Contains(scopes, "users:read") {
		findings = append(findings, notifiers.Warn("slack people",
			"the workspace belongs to an Enterprise Grid, and without the scope users:read flowbridge cannot tell people of "+
				"its other "+
				"workspaces from those of other companies: they may look and not act",
			"add users:read under OAuth & Permissions, Bot Token Scopes, and install the app again"))
	}
	findings = append(findings, d.checkChannels(ctx, targets, scopes)...)
	return append(findings, d.checkButtons())
}

// Glance looks at what nothing works without: whether Slack takes the token, which it is asked once, whether that may
// post, and what buttons need.
func Glance(ctx context.Context, doctor *notifiers.Doctor) (findings []notifiers.Finding) {
	d := &examination{doctor}
	if len(d.Targets) == 0 || d.Secret("SLACK_BOT_TOKEN") == "" {
		return nil
	}
	finding, _, scopes := d.checkToken(ctx)
	findings = []notifiers.Finding{finding}
	if finding.Status != notifiers.StatusFail && !slices.Contains(scopes, "chat:write") {
		findings = append(findings, checkScopes(scopes, false))
	}
	return append(findings, d.checkButtons())
}

// checkToken asks Slack whose token it is. said and scopes are of a token that it takes.
func (d *examination) checkToken(ctx context.Context) (f notifiers.Finding, said doctorAnswer, scopes []string) {
	const name = "slack token"
	said, header, err := d.call(ctx, "auth.test", nil)
	switch {
	case err != nil:
		return notifiers.Fail(name, "Slack: "+err.Error(), doSlackURL), said, nil
	case !said.OK:
		return notifiers.Fail(name, "Slack says "+said.Error, doSlackToken), said, nil
	}
	for scope := range strings.SplitSeq(header.Get("X-OAuth-Scopes"), ",") {
		scopes = append(scopes, strings.TrimSpace(scope))
	}
	if said.BotID == "" || !strings.HasPrefix(d.Secret("SLACK_BOT_TOKEN").Reveal(), "xoxb-") {
		return notifiers.Warn(name, fmt.Sprintf("works as %s in workspace %s, and is not a bot's", said.User, said.Team),
			doSlackToken), said, scopes
	}
	return notifiers.Fine(name, "%s in workspace %s", said.User, said.Team), said, scopes
}

// call calls a method that only reads. An error means that there is no answer of Slack's.
func (d *examination) call(ctx context.Context, method string,
	form url.Values) (answer doctorAnswer, header http.Header, err error) {
	base := strings.TrimRight(cmp.Or(d.Setting("SLACK_API_URL"), "https://slack.com/api/"), "/") + "/"
	auth := http.Header{"Authorization": {"Bearer " + d.Secret("SLACK_BOT_TOKEN").Reveal()}}
	if form == nil {
		form = url.Values{}
	}
	r, err := d.Ask(ctx, http.MethodPost, base+method, auth, form)
	switch {
	case err != nil:
		return answer, nil, err
	case r.Status == http.StatusTooManyRequests:
		return answer, nil, errors.New("too many calls just now")
	case r.Status != http.StatusOK || json.Unmarshal(r.Body, &answer) != nil || !answer.OK && answer.Error == "":
		return answer, nil, fmt.Errorf("this is not how Slack answers: HTTP %d", r.Status)
	}
	return answer, r.Header, nil
}

// checkScopes compares the scopes of the token with what flowbridge does.
func checkScopes(have []string, buttons bool) notifiers.Finding {
	const name, do = "slack scopes",
		"add them under OAuth & Permissions, Bot Token Scopes, and install the app again (flowbridge slack-manifest " +
			"prints all of them)"
	if !slices.Contains(have, "chat:write") {
		return notifiers.Fail(name, "chat:write is missing: nothing can be posted", do)
	}
	var missing []string
	for _, scope := range []struct {
		name, without string
		wanted        bool
	}{
		{"channels:read", "channels cannot be looked up by name", true},
		{"channels:history", "a message can be posted twice after a crash", true},
		{"commands", "there is no /flows", buttons},
	} {
		if scope.wanted && !slices.Contains(have, scope.name) {
			missing = append(missing, fmt.Sprintf("%s (without it %s)", scope.name, scope.without))
		}
	}
	if len(missing) > 0 {
		return notifiers.Warn(name, "chat:write is there; missing: "+strings.Join(missing, ", "), do)
	}
	return notifiers.Fine(name, "chat:write and all that makes it safe")
}

// checkChannels looks up each channel that a notifier names.
func (d *examination) checkChannels(ctx context.Context, targets []router.Target,
	scopes []string) (findings []notifiers.Finding) {
	byName, listed := map[string]doctorChannel{}, error(nil)
	if slices.ContainsFunc(targets, func(t router.Target) bool { return strings.HasPrefix(t.Address, "#") }) {
		byName, listed = d.channels(ctx, scopes)
	}
	seen := map[string]bool{}
	for _, t := range targets {
		if seen[t.Address] {
			continue
		}
		seen[t.Address] = true
		name := "slack channel " + t.Address
		channel, found, err := doctorChannel{}, false, listed
		if strings.HasPrefix(t.Address, "#") {
			channel, found = byName[strings.TrimPrefix(t.Address, "#")]
		} else {
			channel, found, err = d.channel(ctx, t.Address)
		}
		switch {
		case found:
			findings = append(findings, checkChannel(name, channel, scopes))
		case err != nil:
			findings = append(findings, notifiers.Warn(name, "not checked: "+err.Error(),
				"give the bot the scopes channels:read and, for private channels, groups:read (without them a message can be "+
					"posted twice after a crash); or look again later"))
		default:
			findings = append(findings,
				notifiers.Fail(name, "there is no such public channel, nor a private one that the bot is in",
					"check the channel of notifier "+t.Notifier+
						" in the rules; into a private channel write /invite and the bot's name"))
		}
	}
	return findings
}

// channel finds a channel by its id. An error means that we do not know.
func (d *examination) channel(ctx context.Context, id string) (channel doctorChannel, found bool, err error) {
	said, _, err := d.call(ctx, "conversations.info", url.Values{"channel": {id}})
	switch {
	case err != nil:
		return channel, false, err
	case said.OK:
		return said.Channel, true, nil
	case said.Error == "channel_not_found":
		return channel, false, nil
	}
	return channel, false, errors.New(said.said())
}

// channels lists all channels by name. An error means that the list is not whole.
func (d *examination) channels(ctx context.Context, scopes []string) (map[string]doctorChannel, error) {
	types := "public_channel"
	if slices.Contains(scopes, "groups:read") {
		types += ",private_channel"
	}
	found, cursor := map[string]doctorChannel{}, ""
	for range maxChannelPages {
		said, _, err := d.call(ctx, "conversations.list", url.Values{"types": {types}, "limit": {"999"}, "cursor": {cursor}})
		if err != nil {
			return found, err
		}
		if !said.OK {
			return found, errors.New(said.said())
		}
		for _, channel := range said.Channels {
			found[channel.Name] = channel
		}
		if cursor = said.Metadata.NextCursor; cursor == "" {
			if types == "public_channel" { // a private channel of that name would not be seen
				return found, errors.New("it is no public channel, and without the scope groups:read private ones are not listed")
			}
			return found, nil
		}
	}
	return found, fmt.Errorf("it is not among the first %d channels: give its id instead of its name", len(found))
}

func (a *doctorAnswer) said() string {
	if a.Needed != "" {
		return fmt.Sprintf("Slack says %s, needed: %s", a.Error, a.Needed)
	}
	return "Slack says " + a.Error
}

// checkChannel judges a channel that is there.
func checkChannel(name string, channel doctorChannel, scopes []string) notifiers.Finding {
	switch {
	case channel.IsArchived:
		return notifiers.Fail(name, "it is archived", "unarchive it, or name another one in the rules")
	case channel.IsMember && channel.IsPrivate && !slices.Contains(scopes, "groups:history"):
		return notifiers.Warn(name,
			"the bot is in it; it is private, and without the scope groups:history a message can be posted twice after a crash",
			"add groups:history under OAuth & Permissions, Bot Token Scopes, and install the app again")
	case channel.IsMember:
		return notifiers.Fine(name, "the bot is in it")
	case !channel.IsPrivate && slices.Contains(scopes, "channels:join"):
		return notifiers.Fine(name, "the bot is not in it, and will join")
	case !channel.IsPrivate && slices.Contains(scopes, "chat:write.public"):
		return notifiers.Warn(name, "the bot is not in it; it may post, and cannot look whether it has",
			"write /invite and the bot's name in the channel")
	}
	return notifiers.Fail(name, "the bot is not in it", "write /invite and the bot's name in the channel")
}

// checkButtons looks at what proves that a press of a button comes from Slack.
func (d *examination) checkButtons() notifiers.Finding {
	signing, app := d.Secret("SLACK_SIGNING_SECRET"), d.Secret("SLACK_APP_TOKEN")
	switch {
	case app != "" && !strings.HasPrefix(app.Reveal(), "xapp-"):
		return notifiers.Fail("slack buttons", "SLACK_APP_TOKEN is no app-level token",
			"give the one that begins with xapp-: Basic Information, App-Level Tokens")
	case app != "":
		return notifiers.Fine("slack buttons", "come through Socket Mode")
	case signing == "":
		return notifiers.Warn("slack buttons",
			"no buttons: neither SLACK_SIGNING_SECRET nor SLACK_APP_TOKEN is set, so nobody can act in Slack",
			"set the first where Slack reaches the public address (Basic Information, Signing Secret), the second for "+
				"Socket Mode")
	case len(signing) != 32 || strings.Trim(signing.Reveal(), "0123456789abcdef") != "":
		return notifiers.Warn("slack buttons", "SLACK_SIGNING_SECRET is not 32 hexadecimal digits",
			"compare it with Basic Information, Signing Secret")
	}
	return notifiers.Fine("slack buttons", "SLACK_SIGNING_SECRET is set")
}
