package demo

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"flowbridge/notifiers/sandbox"
	"flowbridge/notifiers/slack"
	"flowbridge/router"
)

// person is somebody in the story, by their id in Slack.
type person string

const (
	onCall   person = "U0ONCALL"
	payments person = "U0PAYMENTS"
	growth   person = "U0GROWTH"
)

// people are the names that they show, in Slack and in PagerDuty.
var people = map[string]string{
	string(onCall):   "an on-call engineer",
	string(payments): "a payments engineer",
	string(growth):   "a growth engineer",
}

func (p person) name() string { return people[string(p)] }

// act is what a person does. The stand-ins send the bridge what Slack and PagerDuty would, signed and over HTTP.
type act struct {
	what string
	do   func(ctx context.Context, d *demo) (answer string, err error) // answer is what only they see
}

// acknowledges has who is on call acknowledge an incident in PagerDuty, by its number there.
func acknowledges(number int64) *act {
	return &act{
		what: fmt.Sprintf("PagerDuty: %s acknowledges #%d", onCall.name(), number),
		do: func(_ context.Context, d *demo) (string, error) {
			return "", d.pager.Acknowledge(number, onCall.name())
		},
	}
}

// presses has somebody press a button on the card of an incident.
func presses(who person, action, label string, incident int64) *act {
	return &act{
		what: fmt.Sprintf("Slack: %s presses %s on %s", who.name(), label, router.IncidentName(incident)),
		do: func(ctx context.Context, d *demo) (string, error) {
			inc, err := d.bridge.Store.Incident(ctx, incident)
			if err != nil {
				return "", err
			}
			if card, ok := deliveryTo(inc.Deliveries, slack.Kind); ok {
				channel, ts := slack.Message(card.Receipt)
				return answeredWell(d.slack.Press(ctx, channel, ts, sandbox.Press{Action: action, User: string(who)}))
			}
			return "", fmt.Errorf("%s has no card", inc.Name())
		},
	}
}

// deliveryTo returns the first delivery to a kind.
func deliveryTo(all []router.Delivery, kind router.Kind) (d router.Delivery, ok bool) {
	i := slices.IndexFunc(all, func(d router.Delivery) bool { return d.Kind == kind })
	if i < 0 {
		return d, false
	}
	return all[i], true
}

// writes has somebody write the slash command, whose answer only they see.
func writes(who person, channel, text string) *act {
	return &act{
		what: fmt.Sprintf("Slack: %s writes %s in %s", who.name(), strings.TrimSpace("/flows "+text), channel),
		do: func(ctx context.Context, d *demo) (string, error) {
			return answeredWell(d.slack.Write(ctx, sandbox.Command{Text: text, Channel: channel, User: string(who)}))
		},
	}
}

// silences has somebody write that they want to hear nothing new of an incident's flow until it has recovered.
func silences(who person, channel string, incident int64) *act {
	act := writes(who, channel, fmt.Sprintf("silence %d recovered", incident))
	command := act.do
	act.do = func(ctx context.Context, d *demo) (answer string, err error) {
		if answer, err = command(ctx, d); err != nil {
			return "", err
		}
		// The silence itself is folded first, and what it covers after that.
		return answer, d.until(ctx, "the silence to hold", func(ctx context.Context) (bool, error) {
			inc, err := d.bridge.Store.Incident(ctx, incident)
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
