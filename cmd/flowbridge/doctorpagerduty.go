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

	"flowbridge/notifiers/pagerduty"
)

const (
	doPagerToken = "set PAGERDUTY_API_TOKEN to a REST API key of the account: Integrations, API Access Keys"
	doPagerURL   = "check the network, a proxy in between, and for accounts in the EU the address"
	// maxSubscriptionPages bounds the search for our subscription: 1,000 of them.
	maxSubscriptionPages = 10
)

// pagerWebhookEvents are the events that cards follow.
var pagerWebhookEvents = []string{
	"incident.acknowledged", "incident.unacknowledged", "incident.resolved", "incident.reopened", "incident.reassigned",
	"incident.escalated", "incident.delegated", "incident.annotated", "incident.priority_updated",
}

// checkPagerDuty looks at the form of every key, the REST token, and the way back. It sends no event: that a key is
// the right one shows with the first that is real.
func (d *doctor) checkPagerDuty(ctx context.Context) (findings []diagnosis) {
	targets := d.targets(pagerduty.Kind)
	token := d.secrets["PAGERDUTY_API_TOKEN"]
	switch {
	case len(targets) == 0 && token == "" && d.rules == nil:
		return []diagnosis{warn("pagerduty", "not checked: PAGERDUTY_API_TOKEN is not set, and the rules cannot be read", "mend the rules first")}
	case len(targets) == 0 && token == "":
		return []diagnosis{fine("pagerduty", "not used: no notifier is of PagerDuty")}
	}
	for _, t := range targets { // rules with a key of another form are not loaded: see the finding about them
		findings = append(findings, fine("pagerduty key of "+t.Notifier, "has the form of one"))
	}
	findings = append(findings, d.checkEventsAPI(ctx))
	switch {
	case d.faults["PAGERDUTY_API_TOKEN"] != nil: // said already
	case token == "":
		findings = append(findings, warn("pagerduty token", "PAGERDUTY_API_TOKEN is not set: cards get no link to the incident, and what people do there is found only by its key", doPagerToken))
	default:
		findings = append(findings, d.checkREST(ctx)...)
	}
	if d.secrets["PAGERDUTY_WEBHOOK_SECRET"] == "" && d.faults["PAGERDUTY_WEBHOOK_SECRET"] == nil {
		findings = append(findings, warn("pagerduty webhook secret", "PAGERDUTY_WEBHOOK_SECRET is not set: what people do in PagerDuty is not heard of",
			"add a webhook subscription (Integrations, Generic Webhooks v3) and give the secret that it shows once"))
	} else if d.faults["PAGERDUTY_WEBHOOK_SECRET"] == nil {
		findings = append(findings, fine("pagerduty webhook secret", "set"))
	}
	return findings
}

// checkEventsAPI asks for the address of events without sending one: any answer shows that it is there.
func (d *doctor) checkEventsAPI(ctx context.Context) diagnosis {
	base := strings.TrimRight(cmp.Or(d.p.setting("PAGERDUTY_EVENTS_URL"), "https://events.pagerduty.com"), "/")
	r, err := d.ask(ctx, http.MethodGet, base+"/v2/enqueue", nil, nil)
	switch {
	case err != nil:
		return fail("pagerduty events", base+": "+err.Error(), doPagerURL+" (PAGERDUTY_EVENTS_URL)")
	case r.Status >= 500:
		return fail("pagerduty events", fmt.Sprintf("%s answers HTTP %d", base, r.Status), "see status.pagerduty.com, and "+doPagerURL+" (PAGERDUTY_EVENTS_URL)")
	}
	return fine("pagerduty events", "%s answers", base)
}

// checkREST looks at the token, the user in whose name is written, and the subscription.
func (d *doctor) checkREST(ctx context.Context) []diagnosis {
	err := d.pagerDuty(ctx, "/abilities", nil, &struct{}{})
	if status, ok := errors.AsType[httpStatus](err); ok && (status == http.StatusUnauthorized || status == http.StatusForbidden) {
		return []diagnosis{fail("pagerduty token", fmt.Sprintf("PagerDuty refuses it: HTTP %d", int(status)), doPagerToken)}
	} else if err != nil {
		return []diagnosis{fail("pagerduty token", "PagerDuty's REST API: "+err.Error(), doPagerURL+" (PAGERDUTY_API_URL)")}
	}
	findings := []diagnosis{fine("pagerduty token", "is taken")}
	if from := d.p.setting("PAGERDUTY_FROM"); from != "" {
		findings = append(findings, d.checkFrom(ctx, from))
	}
	return append(findings, d.checkSubscription(ctx))
}

// pagerDuty reads a path of the REST API.
func (d *doctor) pagerDuty(ctx context.Context, path string, query url.Values, out any) error {
	base := strings.TrimRight(cmp.Or(d.p.setting("PAGERDUTY_API_URL"), "https://api.pagerduty.com"), "/")
	r, err := d.ask(ctx, http.MethodGet, base+path+"?"+query.Encode(), http.Header{
		"Authorization": {"Token token=" + d.secrets["PAGERDUTY_API_TOKEN"].Reveal()},
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
func (d *doctor) checkFrom(ctx context.Context, from string) diagnosis {
	const name = "pagerduty from"
	var answer struct {
		Users []struct{ Email string }
	}
	if err := d.pagerDuty(ctx, "/users", url.Values{"query": {from}, "limit": {"100"}}, &answer); err != nil {
		return warn(name, "not checked: "+err.Error(), "give the token the right to read users, or look again later")
	}
	for _, user := range answer.Users {
		if strings.EqualFold(user.Email, from) {
			return fine(name, "%s is a user of the account", from)
		}
	}
	return fail(name, from+" is no user of the account", "set PAGERDUTY_FROM to the e-mail address of one")
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
func (d *doctor) checkSubscription(ctx context.Context) diagnosis {
	const name = "pagerduty webhook"
	if d.WebhookURL == "" {
		return warn(name, "not checked: it is not known where PagerDuty reaches us", "give --webhook-url")
	}
	ours := d.WebhookURL + "/webhooks/pagerduty"
	found, err := d.subscriptions(ctx, ours)
	if err != nil {
		return warn(name, "not checked: "+err.Error(), "give the token the right to read webhook subscriptions, or look again later")
	}
	const do = "in Integrations, Generic Webhooks (v3), "
	if len(found) == 0 && d.secrets["PAGERDUTY_WEBHOOK_SECRET"] == "" {
		return warn(name, "no subscription leads to "+ours, do+"add one with this URL")
	}
	if len(found) == 0 {
		return fail(name, "no subscription leads to "+ours, do+"add one with this URL, and give its secret as PAGERDUTY_WEBHOOK_SECRET")
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
		return fail(name, "the subscription to "+ours+" is disabled", do+"enable it; PagerDuty disables those whose answers it does not get")
	}
	missing := slices.DeleteFunc(slices.Clone(pagerWebhookEvents), func(event string) bool { return events[event] })
	if len(missing) > 0 {
		return warn(name, "the subscription to "+ours+" leaves out "+strings.Join(missing, ", "), do+"add these events")
	}
	return fine(name, "a subscription leads to %s", ours)
}

// subscriptions returns those that lead to an address.
func (d *doctor) subscriptions(ctx context.Context, address string) (found []subscription, err error) {
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
