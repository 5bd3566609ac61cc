package webhook

import (
	"context"
	"fmt"
	"net/http"

	"flowbridge/notifiers"
)

// Examine looks whether receivers are there. It sends them no message, so that nobody acts on one: that the secret is
// the right one shows with the first that is real.
func Examine(ctx context.Context, d *notifiers.Doctor) (findings []notifiers.Finding) {
	for _, t := range d.Targets {
		name := "webhook " + t.Notifier
		r, err := d.Ask(ctx, http.MethodHead, t.Address, nil, nil)
		switch {
		case err != nil:
			findings = append(findings, notifiers.Fail(name, fmt.Sprintf("%s: %s", t.Place(), err),
				"check url in the rules, the network, and a proxy in between"))
		case r.Status == http.StatusGone:
			findings = append(findings, notifiers.Fail(name, t.Place()+" answers 410 Gone: it wants no messages",
				"correct url in the rules, or remove the notifier"))
		case r.Status >= 500:
			findings = append(findings, notifiers.Warn(name, fmt.Sprintf("%s answers HTTP %d", t.Place(), r.Status),
				"look at the receiver: messages wait until it takes them"))
		case r.Status/100 == 3:
			findings = append(findings, notifiers.Warn(name, fmt.Sprintf("%s redirects (HTTP %d), which is not followed",
				t.Place(), r.Status), "give the address that it leads to"))
		default:
			findings = append(findings, notifiers.Fine(name, "%s answers; the secret has the form of one", t.Place()))
		}
	}
	return findings
}
