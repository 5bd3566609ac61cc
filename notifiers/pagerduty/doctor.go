package pagerduty

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
)

const (
	doPagerToken = "set PAGERDUTY_API_TOKEN to a REST API key of the account: Integrations, API Access Keys"
	doPagerURL   = "check the network, a proxy in between, and for accounts in the EU the address"
	// maxSubscriptionPages bounds the search for our subscription: 1,000 of them.
	maxSubscriptionPages = 10
)

// WebhookEvents are the events that cards follow.
var WebhookEvents = []string{
	"incident.acknowledged", "incident.unacknowledged", "incident.resolved", "incident.reopened", "incident.reassigned",
	"incident.escalated", "incident.delegated", "incident.annotated", "incident.priority_updated",
}

// examination is the state of one look of the doctor.
type examination struct{ *notifiers.Doctor }

// Examine looks at the form of every key, the REST token, and the way back. It sends no event: that a key is
// the right one shows with the first that is real.
func Examine(ctx context.Context, doctor *notifiers.Doctor) (findings []notifiers.Finding) {
	d := &examination{doctor}
	targets := d.Targets
	token := d.Secret("PAGERDUTY_API_TOKEN")
	switch {
	case len(targets) == 0 && token == "" && !d.RulesRead:
		return []notifiers.Finding{notifiers.Warn("pagerduty",
			"not checked: PAGERDUTY_API_TOKEN is not set, and the rules cannot be read", "mend the rules first")}
	case len(targets) == 0 && token == "":
		return []notifiers.Finding{notifiers.Fine("pagerduty", "not used: no notifier is of PagerDuty")}
	}
	for _, t := range targets { // rules with a key of another form are not loaded: see the finding about them
		findings = append(findings, notifiers.Fine("pagerduty key of "+t.Notifier, "has the form of one"))
	}
	findings = append(findings, d.checkEventsAPI(ctx))
	switch {
	case d.Unread("PAGERDUTY_API_TOKEN"): // said already
	case token == "":
		findings = append(findings, notifiers.Warn("pagerduty token",
			"PAGERDUTY_API_TOKEN is not set: cards get no link to the incident, and what people do there is found only by "+
				"its key", doPagerToken))
	default:
		findings = append(findings, d.checkREST(ctx)...)
	}
	if d.Secret("PAGERDUTY_WEBHOOK_SECRET") == "" && !d.Unread("PAGERDUTY_WEBHOOK_SECRET") {
		findings = append(findings, notifiers.Warn("pagerduty webhook secret",
			"PAGERDUTY_WEBHOOK_SECRET is not set: what people do in PagerDuty is not heard of",
			"add a webhook subscription (Integrations, Generic Webhooks v3) and give the secret that it shows once"))
	} else if !d.Unread("PAGERDUTY_WEBHOOK_SECRET") {
		findings = append(findings, notifiers.Fine("pagerduty webhook secret", "set"))
	}
	return findings
}

// checkEventsAPI asks for the address of events without sending one: any answer shows that it is there.
func (d *examination) checkEventsAPI(ctx context.Context) notifiers.Finding {
	base := strings.TrimRight(cmp.Or(d.Setting("PAGERDUTY_EVENTS_URL"), "https://events.pagerduty.com"), "/")
	r, err := d.Ask(ctx, http.MethodGet, base+"/v2/enqueue", nil, nil)
	switch {
	case err != nil:
		return notifiers.Fail("pagerduty events", base+": "+err.Error(), doPagerURL+" (PAGERDUTY_EVENTS_URL)")
	case r.Status >= 500:
		return notifiers.Fail("pagerduty events", fmt.Sprintf("%s answers HTTP %d", base, r.Status),
			"see status.pagerduty.com, and "+doPagerURL+" (PAGERDUTY_EVENTS_URL)")
	}
	return notifiers.Fine("pagerduty events", "%s answers", base)
}

// checkREST looks at the token, the user in whose name is written, and the subscription.
func (d *examination) checkREST(ctx context.Context) []notifiers.Finding {
	err := d.pagerDuty(ctx, "/abilities", nil, &struct{}{})
	if status, ok := errors.AsType[httpStatus](err); ok && (status == http.StatusUnauthorized ||
		status == http.StatusForbidden) {
		return []notifiers.Finding{notifiers.Fail("pagerduty token", fmt.Sprintf("PagerDuty refuses it: HTTP %d",
			int(status)), doPagerToken)}
	} else if err != nil {
		return []notifiers.Finding{notifiers.Fail("pagerduty token", "PagerDuty's REST API: "+err.Error(),
			doPagerURL+" (PAGERDUTY_API_URL)")}
	}
	findings := []notifiers.Finding{notifiers.Fine("pagerduty token", "is taken")}
	if from := d.Setting("PAGERDUTY_FROM"); from != "" {
		findings = append(findings, d.checkFrom(ctx, from))
	}
	return append(findings, d.checkSubscription(ctx))
}

// pagerDuty reads a path of the REST API.
func (d *examination) pagerDuty(ctx context.Context, path string, query url.Values, out any) error {
	base := strings.TrimRight(cmp.Or(d.Setting("PAGERDUTY_API_URL"), "https://api.pagerduty.com"), "/")
	r, err := d.Ask(ctx, http.MethodGet, base+path+"?"+query.Encode(), http.Header{
		"Authorization": {"Token token=" + d.Secret("PAGERDUTY_API_TOKEN").Reveal()},
		"Accept":        {"application/vnd.pagerduty+json;version=2"},
	}, nil)
	switch {
	case err != nil:
		return err
	case r.Status != http.StatusOK:
		return httpStatus(r.Status)
	case json.Unmarshal(r.Body, out) != nil:
		return errors.New("this is not how PagerDuty answers: no JSON")
	}
	return nil
}

// httpStatus is an answer that is no success.
type httpStatus int

func (s httpStatus) Error() string { return fmt.Sprintf("HTTP %d", int(s)) }

// checkFrom looks for the user whose e-mail address REST writes carry.
func (d *examination) checkFrom(ctx context.Context, from string) notifiers.Finding {
	const name = "pagerduty from"
	var answer struct {
		Users []struct{ Email string }
	}
	if err := d.pagerDuty(ctx, "/users", url.Values{"query": {from}, "limit": {"100"}}, &answer); err != nil {
		return notifiers.Warn(name, "not checked: "+err.Error(),
			"give the token the right to read users, or look again later")
	}
	for _, user := range answer.Users {
		if strings.EqualFold(user.Email, from) {
			return notifiers.Fine(name, "%s is a user of the account", from)
		}
	}
	return notifiers.Fail(name, from+" is no user of the account", "set PAGERDUTY_FROM to the e-mail address of one")
}

// subscription is a V3 webhook subscription.
type subscription struct {
	Active         bool
	Events         []string
	DeliveryMethod struct {
		URL      string
		Disabled bool `json:"temporarily_disabled"`
	} `json:"delivery_method"`
}

// checkSubscription looks for the one that leads to us.
func (d *examination) checkSubscription(ctx context.Context) notifiers.Finding {
	const name = "pagerduty webhook"
	if d.Public == "" {
		return notifiers.Warn(name, "not checked: it is not known where PagerDuty reaches us", "give --webhook-url")
	}
	ours := d.Public + "/webhooks/pagerduty"
	found, err := d.subscriptions(ctx, ours)
	if err != nil {
		return notifiers.Warn(name, "not checked: "+err.Error(),
			"give the token the right to read webhook subscriptions, or look again later")
	}
	const do = "in Integrations, Generic Webhooks (v3), "
	if len(found) == 0 && d.Secret("PAGERDUTY_WEBHOOK_SECRET") == "" {
		return notifiers.Warn(name, "no subscription leads to "+ours, do+"add one with this URL")
	}
	if len(found) == 0 {
		return notifiers.Fail(name, "no subscription leads to "+ours,
			do+"add one with this URL, and give its secret as PAGERDUTY_WEBHOOK_SECRET")
	}
	events := map[string]bool{}
	live := false
	for _, s := range found {
		if s.Active && !s.DeliveryMethod.Disabled {
			live = true
			for _, event := range s.Events {
				events[event] = true
			}
		}
	}
	if !live {
		return notifiers.Fail(name, "the subscription to "+ours+" is disabled",
			do+"enable it; PagerDuty disables those whose answers it does not get")
	}
	missing := slices.DeleteFunc(slices.Clone(WebhookEvents), func(event string) bool { return events[event] })
	if len(missing) > 0 {
		return notifiers.Warn(name, "the subscription to "+ours+" leaves out "+strings.Join(missing, ", "),
			do+"add these events")
	}
	return notifiers.Fine(name, "a subscription leads to %s", ours)
}

// subscriptions returns those that lead to an address.
func (d *examination) subscriptions(ctx context.Context, address string) (found []subscription, err error) {
	offset := 0
	for range maxSubscriptionPages {
		var answer struct {
			Subscriptions []subscription `json:"webhook_subscriptions"`
			More          bool
		}
		query := url.Values{"limit": {"100"}, "offset": {fmt.Sprint(offset)}}
		if err := d.pagerDuty(ctx, "/webhook_subscriptions", query, &answer); err != nil {
			return nil, err
		}
		for _, s := range answer.Subscriptions {
			if strings.TrimRight(s.DeliveryMethod.URL, "/") == address {
				found = append(found, s)
			}
		}
		if !answer.More {
			return found, nil
		}
		offset += len(answer.Subscriptions)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("it is not among the first %d subscriptions", offset)
	}
	return found, nil
}
