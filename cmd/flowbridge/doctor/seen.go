package doctor

import (
	"fmt"
	"strings"
	"time"

	"flowbridge/router"
)

// side is another side, by what bridges see of it.
type side struct {
	name      string
	good, bad router.SightKind
	also      router.SightKind // that is told beside good; "" for nothing
	words     map[router.SightKind]string
	do        string // where the newest was badly signed
}

var sides = []side{
	{"seen of Meta", router.SightPost, router.SightBadPost, router.SightHandshake, map[router.SightKind]string{
		router.SightPost: "last good post", router.SightBadPost: "last with a bad signature",
		router.SightHandshake: "last handshake"},
		"if Meta sent it, META_APP_SECRET is not this app's"},
	{"seen of Slack", router.SightSlackPress, router.SightSlackBad, "", map[router.SightKind]string{
		router.SightSlackPress: "last press or command", router.SightSlackBad: "last with a bad signature"},
		"if Slack sent it, SLACK_SIGNING_SECRET is not this app's"},
	{"seen of PagerDuty", router.SightPagerDutyWebhook, router.SightPagerDutyBad, "", map[router.SightKind]string{
		router.SightPagerDutyWebhook: "last webhook", router.SightPagerDutyBad: "last with a bad signature"},
		"if PagerDuty sent it, PAGERDUTY_WEBHOOK_SECRET is not its subscription's"},
}

// sights says what bridges on the database saw of the other sides.
func (d *Doctor) sights(seen []router.Sight) (findings []diagnosis) {
	at := map[router.SightKind]router.Sight{}
	for _, one := range seen {
		at[one.What] = one
	}
	for _, s := range sides {
		var parts []string
		for _, what := range []router.SightKind{s.good, s.also, s.bad} {
			if one, ok := at[what]; ok {
				parts = append(parts, fmt.Sprintf("%s %s (%s ago)", s.words[what], one.At.UTC().Format(time.RFC3339),
					router.FormatDuration(d.cfg.Now().Sub(one.At).Abs())))
			}
		}
		switch {
		case len(parts) == 0: // many have no use for it
		case at[s.bad].At.After(at[s.good].At):
			findings = append(findings, warn(s.name, strings.TrimSpace(strings.Join(parts, ", ")+" "+at[s.bad].Detail), s.do))
		default:
			findings = append(findings, fine(s.name, "%s", strings.Join(parts, ", ")))
		}
	}
	return findings
}
