package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"flowbridge/notifiers"
	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/slack"
	"flowbridge/notifiers/webhook"
	"flowbridge/router"
	"flowbridge/router/delivery"
	"flowbridge/router/rules"
)

// notifierKind is what this program does for one kind of notifiers. What a kind can is in router.Kind.
type notifierKind struct {
	kind router.Kind
	// open makes what tells the service, nil where it cannot be reached without more settings. It calls nobody.
	open func(cfg *bridgeConfig, j *surroundings) (delivery.Notifier, error)
	// without says what is missing where open returns nil, and what to do about it.
	without, do string
	// examine is what the doctor looks at.
	examine func(ctx context.Context, d *notifiers.Doctor) []notifiers.Finding
	// glance is what of that serve looks at when it starts; nil: nothing. The form of keys is checked with the rules.
	glance func(ctx context.Context, d *notifiers.Doctor) []notifiers.Finding
	// preview is what the service would get, for explain.
	preview func(n *router.Notification) (string, error)
}

// notifierKinds lists all of them. A new kind is an entry here, one in the table of router.Kind, and its own package.
func notifierKinds() []notifierKind {
	return []notifierKind{
		{kind: slack.Kind, open: openSlack, without: "SLACK_BOT_TOKEN is not set", do: slack.Needs,
			examine: slack.Examine, glance: slack.Glance, preview: slackPreview},
		{kind: pagerduty.Kind, open: openPagerDuty, examine: pagerduty.Examine, preview: pagerDutyPreview},
		{kind: webhook.Kind, open: openWebhook, examine: webhook.Examine, preview: webhookPreview},
	}
}

// surroundings is what notifiers ask of the store and the rules, which are opened after them.
type surroundings struct {
	receipts func(ctx context.Context, kind router.Kind, address string) ([]router.Receipt, error)
	targets  func() []router.Target // of the rules in force
}

// openServices makes a notifier for every service that can be reached, whether or not a rule names it now: what an
// incident opened must be closed even where the rules have changed since. without says what to do about the others.
func (cfg *bridgeConfig) openServices(
	j *surroundings) (notifiers map[router.Kind]delivery.Notifier, without map[router.Kind]string, err error) {
	notifiers, without = map[router.Kind]delivery.Notifier{}, map[router.Kind]string{}
	for _, s := range notifierKinds() {
		n, err := s.open(cfg, j)
		switch {
		case err != nil:
			return nil, nil, err
		case n == nil:
			without[s.kind] = s.do
		default:
			notifiers[s.kind] = n
		}
	}
	return notifiers, without, cfg.refuse(cfg.Rules)
}

// refuse says why rules cannot be used here: they name a notifier of a service that cannot be reached.
func (cfg *bridgeConfig) refuse(r *rules.Rules) error {
	for _, s := range notifierKinds() {
		of := targetsOf(r, s.kind)
		if len(of) == 0 {
			continue
		}
		if n, err := s.open(cfg, &surroundings{}); n == nil && err == nil {
			return fmt.Errorf("%s, and notifier %s is of %s: %s", s.without, of[0].Notifier, s.kind.Label(), s.do)
		}
	}
	return nil
}

// targetsOf returns the notifiers of a kind.
func targetsOf(r *rules.Rules, kind router.Kind) (targets []router.Target) {
	for _, t := range r.Targets() {
		if t.Kind == kind {
			targets = append(targets, t)
		}
	}
	return targets
}

// previewOf returns what the service of a notification would get; "" where that is not shown.
func previewOf(n *router.Notification) (string, error) {
	for _, s := range notifierKinds() {
		if s.kind == n.Target.Kind && s.preview != nil {
			return s.preview(n)
		}
	}
	return "", nil
}

// pagerDutyPreview is the event that opens the page, or ends it.
func pagerDutyPreview(n *router.Notification) (string, error) {
	_, event, err := pagerduty.Preview(*n)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = json.Indent(&out, event, "", "  ")
	return out.String(), err
}

func openSlack(cfg *bridgeConfig, j *surroundings) (delivery.Notifier, error) {
	if cfg.SlackToken == "" {
		return nil, nil
	}
	channelID := func(ctx context.Context, name string) (string, error) {
		receipts, err := j.receipts(ctx, slack.Kind, name)
		return slack.ChannelID(receipts), err
	}
	return slack.New(slack.Config{
		ChannelID: channelID,
		Token:     cfg.SlackToken, TokenNow: cfg.SecretFiles.one("SLACK_BOT_TOKEN"), APIURL: cfg.SlackURL,
		Interactive: cfg.SlackBack.on(),
		Now:         cfg.Now, Logger: cfg.Logger,
	})
}

func openPagerDuty(cfg *bridgeConfig, _ *surroundings) (delivery.Notifier, error) {
	return pagerduty.New(pagerduty.Config{
		EventsURL: cfg.PagerDutyURL, APIToken: cfg.PagerDutyBack.Token,
		APITokenNow: cfg.SecretFiles.one("PAGERDUTY_API_TOKEN"),
		APIURL:      cfg.PagerDutyBack.APIURL, From: cfg.PagerDutyBack.From, Now: cfg.Now,
	})
}

func openWebhook(cfg *bridgeConfig, j *surroundings) (delivery.Notifier, error) {
	return webhook.New(webhook.Config{Now: cfg.Now, SecretsNow: func(url string) (secrets []router.Secret) {
		for _, t := range j.targets() {
			if t.Kind == webhook.Kind && t.Address == url {
				secrets = append(secrets, t.Credential)
			}
		}
		return secrets
	}}), nil
}

func webhookPreview(n *router.Notification) (string, error) {
	message, err := webhook.Message(*n)
	return string(message), err
}

// slackPreview is the card, with a link to a page that draws it.
func slackPreview(n *router.Notification) (string, error) {
	card, err := slack.Card(*n)
	if err != nil {
		return "", err
	}
	var message struct {
		Blocks      []json.RawMessage `json:"blocks"`
		Attachments []struct {
			Blocks []json.RawMessage `json:"blocks"`
		} `json:"attachments"`
	}
	if err := json.Unmarshal(card, &message); err != nil {
		return "", err
	}
	blocks := message.Blocks
	for _, a := range message.Attachments {
		blocks = append(blocks, a.Blocks...)
	}
	builder, err := json.Marshal(map[string]any{"blocks": blocks})
	if err != nil {
		return "", err
	}
	var pretty bytes.Buffer
	_ = json.Indent(&pretty, card, "", "  ") // it was just marshalled
	return fmt.Sprintf("%s\nhttps://app.slack.com/block-kit-builder/#%s", pretty.Bytes(),
		strings.ReplaceAll(url.QueryEscape(string(builder)), "+", "%20")), nil
}
