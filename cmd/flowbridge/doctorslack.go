package main

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

	"flowbridge/notifiers/slack"
	"flowbridge/router"
)

// slackAnswer is what Slack's methods answer, as far as the doctor asks.
type slackAnswer struct {
	OK     bool
	Error  string
	Needed string // of missing_scope

	Team         string
	User         string
	BotID        string `json:"bot_id"`
	EnterpriseID string `json:"enterprise_id"` // of the Enterprise Grid that the workspace belongs to

	Channel  slackChannel
	Channels []slackChannel
	Metadata struct {
		NextCursor string `json:"next_cursor"`
	} `json:"response_metadata"`
}

type slackChannel struct {
	ID         string
	Name       string
	IsArchived bool `json:"is_archived"`
	IsMember   bool `json:"is_member"`
	IsPrivate  bool `json:"is_private"`
}

const (
	doSlackToken = "set SLACK_BOT_TOKEN to the Bot User OAuth Token (xoxb-...) of a Slack app that is installed: OAuth & Permissions"
	doSlackURL   = "check the network, a proxy in between, and SLACK_API_URL"
	// maxChannelPages bounds the search for a channel by its name: 20,000 of them.
	maxChannelPages = 20
)

// checkSlack looks at the token, its scopes, every channel of the rules, and what buttons need.
func (d *doctor) checkSlack(ctx context.Context) []diagnosis {
	targets := d.targets(slack.Kind)
	switch {
	case d.faults["SLACK_BOT_TOKEN"] != nil: // said already
		return nil
	case d.secrets["SLACK_BOT_TOKEN"] == "" && d.rules == nil:
		return []diagnosis{warn("slack", "not checked: SLACK_BOT_TOKEN is not set, and the rules cannot be read", "mend the rules first")}
	case d.secrets["SLACK_BOT_TOKEN"] == "" && len(targets) == 0:
		return []diagnosis{fine("slack", "not used: no notifier is of Slack")}
	case d.secrets["SLACK_BOT_TOKEN"] == "":
		return []diagnosis{fail("slack token", fmt.Sprintf("SLACK_BOT_TOKEN is not set, and notifier %s is of Slack", targets[0].Notifier), doSlackToken)}
	}
	said, header, err := d.slack(ctx, "auth.test", nil)
	if err != nil {
		return []diagnosis{fail("slack token", "Slack: "+err.Error(), doSlackURL), d.checkButtons()}
	}
	if !said.OK {
		return []diagnosis{fail("slack token", "Slack says "+said.Error, doSlackToken), d.checkButtons()}
	}
	findings := []diagnosis{fine("slack token", "%s in workspace %s", said.User, said.Team)}
	if said.BotID == "" || !strings.HasPrefix(d.secrets["SLACK_BOT_TOKEN"].Reveal(), "xoxb-") {
		findings = []diagnosis{warn("slack token", fmt.Sprintf("works as %s in workspace %s, and is not a bot's", said.User, said.Team), doSlackToken)}
	}
	var scopes []string
	for scope := range strings.SplitSeq(header.Get("X-OAuth-Scopes"), ",") {
		scopes = append(scopes, strings.TrimSpace(scope))
	}
	buttons := d.secrets["SLACK_SIGNING_SECRET"] != "" || d.secrets["SLACK_APP_TOKEN"] != ""
	findings = append(findings, checkScopes(scopes, buttons))
	if buttons && said.EnterpriseID != "" && !slices.Contains(scopes, "users:read") {
		findings = append(findings, warn("slack people",
			"the workspace belongs to an Enterprise Grid, and without the scope users:read flowbridge cannot tell people of its other "+
				"workspaces from those of other companies: they may look and not act",
			"add users:read under OAuth & Permissions, Bot Token Scopes, and install the app again"))
	}
	findings = append(findings, d.checkChannels(ctx, targets, scopes)...)
	return append(findings, d.checkButtons())
}

// slack calls a method that only reads. An error means that there is no answer of Slack's.
func (d *doctor) slack(ctx context.Context, method string, form url.Values) (answer slackAnswer, header http.Header, err error) {
	base := strings.TrimRight(cmp.Or(d.p.setting("SLACK_API_URL"), "https://slack.com/api/"), "/") + "/"
	auth := http.Header{"Authorization": {"Bearer " + d.secrets["SLACK_BOT_TOKEN"].Reveal()}}
	if form == nil {
		form = url.Values{}
	}
	r, err := d.ask(ctx, http.MethodPost, base+method, auth, form)
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
func checkScopes(have []string, buttons bool) diagnosis {
	const name, do = "slack scopes", "add them under OAuth & Permissions, Bot Token Scopes, and install the app again (flowbridge slack-manifest prints all of them)"
	if !slices.Contains(have, "chat:write") {
		return fail(name, "chat:write is missing: nothing can be posted", do)
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
		return warn(name, "chat:write is there; missing: "+strings.Join(missing, ", "), do)
	}
	return fine(name, "chat:write and all that makes it safe")
}

// checkChannels looks up each channel that a notifier names.
func (d *doctor) checkChannels(ctx context.Context, targets []router.Target, scopes []string) (findings []diagnosis) {
	byName, listed := map[string]slackChannel{}, error(nil)
	if slices.ContainsFunc(targets, func(t router.Target) bool { return strings.HasPrefix(t.Address, "#") }) {
		byName, listed = d.slackChannels(ctx, scopes)
	}
	seen := map[string]bool{}
	for _, t := range targets {
		if seen[t.Address] {
			continue
		}
		seen[t.Address] = true
		name := "slack channel " + t.Address
		channel, found, err := slackChannel{}, false, listed
		if strings.HasPrefix(t.Address, "#") {
			channel, found = byName[strings.TrimPrefix(t.Address, "#")]
		} else {
			channel, found, err = d.slackChannel(ctx, t.Address)
		}
		switch {
		case found:
			findings = append(findings, checkChannel(name, channel, scopes))
		case err != nil:
			findings = append(findings, warn(name, "not checked: "+err.Error(), "give the bot the scopes channels:read and, for private channels, groups:read (without them a message can be posted twice after a crash); or look again later"))
		default:
			findings = append(findings, fail(name, "there is no such public channel, nor a private one that the bot is in",
				"check the channel of notifier "+t.Notifier+" in the rules; into a private channel write /invite and the bot's name"))
		}
	}
	return findings
}

// slackChannel finds a channel by its id. An error means that we do not know.
func (d *doctor) slackChannel(ctx context.Context, id string) (channel slackChannel, found bool, err error) {
	said, _, err := d.slack(ctx, "conversations.info", url.Values{"channel": {id}})
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

// slackChannels lists all channels by name. An error means that the list is not whole.
func (d *doctor) slackChannels(ctx context.Context, scopes []string) (map[string]slackChannel, error) {
	types := "public_channel"
	if slices.Contains(scopes, "groups:read") {
		types += ",private_channel"
	}
	found, cursor := map[string]slackChannel{}, ""
	for range maxChannelPages {
		said, _, err := d.slack(ctx, "conversations.list", url.Values{"types": {types}, "limit": {"999"}, "cursor": {cursor}})
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

func (a *slackAnswer) said() string {
	if a.Needed != "" {
		return fmt.Sprintf("Slack says %s, needed: %s", a.Error, a.Needed)
	}
	return "Slack says " + a.Error
}

// checkChannel judges a channel that is there.
func checkChannel(name string, channel slackChannel, scopes []string) diagnosis {
	switch {
	case channel.IsArchived:
		return fail(name, "it is archived", "unarchive it, or name another one in the rules")
	case channel.IsMember && channel.IsPrivate && !slices.Contains(scopes, "groups:history"):
		return warn(name, "the bot is in it; it is private, and without the scope groups:history a message can be posted twice after a crash",
			"add groups:history under OAuth & Permissions, Bot Token Scopes, and install the app again")
	case channel.IsMember:
		return fine(name, "the bot is in it")
	case !channel.IsPrivate && slices.Contains(scopes, "channels:join"):
		return fine(name, "the bot is not in it, and will join")
	case !channel.IsPrivate && slices.Contains(scopes, "chat:write.public"):
		return warn(name, "the bot is not in it; it may post, and cannot look whether it has", "write /invite and the bot's name in the channel")
	}
	return fail(name, "the bot is not in it", "write /invite and the bot's name in the channel")
}

// checkButtons looks at what proves that a press of a button comes from Slack.
func (d *doctor) checkButtons() diagnosis {
	signing, app := d.secrets["SLACK_SIGNING_SECRET"], d.secrets["SLACK_APP_TOKEN"]
	switch {
	case app != "" && !strings.HasPrefix(app.Reveal(), "xapp-"):
		return fail("slack buttons", "SLACK_APP_TOKEN is no app-level token", "give the one that begins with xapp-: Basic Information, App-Level Tokens")
	case app != "":
		return fine("slack buttons", "come through Socket Mode")
	case signing == "":
		return warn("slack buttons", "neither SLACK_SIGNING_SECRET nor SLACK_APP_TOKEN is set: nobody can act in Slack",
			"set the first where Slack reaches the public address (Basic Information, Signing Secret), the second for Socket Mode")
	case len(signing) != 32 || strings.Trim(signing.Reveal(), "0123456789abcdef") != "":
		return warn("slack buttons", "SLACK_SIGNING_SECRET is not 32 hexadecimal digits", "compare it with Basic Information, Signing Secret")
	}
	return fine("slack buttons", "SLACK_SIGNING_SECRET is set")
}
