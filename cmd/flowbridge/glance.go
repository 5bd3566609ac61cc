package main

import (
	"strings"

	"flowbridge/router"
	"flowbridge/router/delivery"
)

// mostExplained bounds an explanation for the console, in bytes: a page has 60 KB.
const mostExplained = 16 << 10

// explainEvent says what the rules in force make of an event, as the command does.
func (b *bridge) explainEvent(e *router.Event) (string, error) {
	var out strings.Builder
	err := explainAll(&out, b.rules.rules(), []router.Event{*e})
	text := out.String()
	if len(text) > mostExplained {
		text = strings.ToValidUTF8(text[:mostExplained], "") + "\n… cut here: the command explain says all of it"
	}
	return text, err
}

// budgetsOf returns what one message to a target takes from the budgets of its service.
func budgetsOf(notifiers map[router.Kind]delivery.Notifier) func(router.Target) []router.Charge {
	return func(t router.Target) []router.Charge {
		n, ok := notifiers[t.Kind].(delivery.Charger)
		if !ok {
			return nil
		}
		return n.Charges(&router.Notification{Target: t, Notice: &router.Notice{Severity: router.Info},
			Severity: router.Info})
	}
}
