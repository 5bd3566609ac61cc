package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/slack"
	"flowbridge/router"
)

// demoPerson is somebody in the story, by their id in Slack.
type demoPerson string

const (
	onCall   demoPerson = "U0ONCALL"
	payments demoPerson = "U0PAYMENTS"
	growth   demoPerson = "U0GROWTH"
)

// demoPeople are the names that they show, in Slack and in PagerDuty.
var demoPeople = map[string]string{
	string(onCall):   "an on-call engineer",
	string(payments): "a payments engineer",
	string(growth):   "a growth engineer",
}

func (p demoPerson) name() string { return demoPeople[string(p)] }

// demoAct is what a person does. The stand-ins send the bridge what Slack and PagerDuty would, signed and over HTTP.
type demoAct struct {
	what string
	do   func(ctx context.Context, d *demo) (answer string, err error) // answer is what only they see
}

// acknowledges has who is on call acknowledge an incident in PagerDuty, by its number there.
func acknowledges(number int64) *demoAct {
	return &demoAct{
		what: fmt.Sprintf("PagerDuty: %s acknowledges #%d", onCall.name(), number),
		do: func(_ context.Context, d *demo) (string, error) {
			return "", d.pager.Acknowledge(number, onCall.name())
		},
	}
}

// presses has somebody press a button on the card of an incident.
func presses(who demoPerson, action, label string, incident int64) *demoAct {
	return &demoAct{
		what: fmt.Sprintf("Slack: %s presses %s on %s", who.name(), label, router.IncidentName(incident)),
		do: func(ctx context.Context, d *demo) (string, error) {
			inc, err := d.bridge.store.Incident(ctx, incident)
			if err != nil {
				return "", err
			}
			for _, card := range deliveriesOf(inc.Deliveries, slack.Kind) {
				channel, ts := slack.Message(card.Receipt)
				return answeredWell(d.slack.Press(ctx, channel, ts, sandbox.Press{Action: action, User: string(who)}))
			}
			return "", fmt.Errorf("%s has no card", inc.Name())
		},
	}
}

// writes has somebody write the slash command, whose answer only they see.
func writes(who demoPerson, channel, text string) *demoAct {
	return &demoAct{
		what: fmt.Sprintf("Slack: %s writes %s in %s", who.name(), strings.TrimSpace("/flows "+text), channel),
		do: func(ctx context.Context, d *demo) (string, error) {
			return answeredWell(d.slack.Write(ctx, sandbox.Command{Text: text, Channel: channel, User: string(who)}))
		},
	}
}

// silences has somebody write that they want to hear nothing new of an incident's flow until it has recovered.
func silences(who demoPerson, channel string, incident int64) *demoAct {
	act := writes(who, channel, fmt.Sprintf("silence %d recovered", incident))
	command := act.do
	act.do = func(ctx context.Context, d *demo) (answer string, err error) {
		if answer, err = command(ctx, d); err != nil {
			return "", err
		}
		// The silence itself is folded first, and what it covers after that.
		return answer, d.until(ctx, "the silence to hold", func(ctx context.Context) (bool, error) {
			inc, err := d.bridge.store.Incident(ctx, incident)
			return inc.Silence.ID != "", err
		})
	}
	return act
}

// answeredWell returns what an answer says, and makes an error of one that Slack would show as a failure.
func answeredWell(sent sandbox.Sent, err error) (answer string, _ error) {
	if err == nil && sent.Status != http.StatusOK {
		err = fmt.Errorf("the bridge answered %d to what a person did in Slack", sent.Status)
	}
	return sent.Text(), err
}
