package rules

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"flowbridge/router"
)

// notifiers reads whom rules can tell.
func (l *loader) notifiers(e entry) {
	notifiers, ok := l.mapping(e.value, e.path)
	if !ok {
		return
	}
	if len(notifiers) == 0 {
		l.wrong(follow(e.value), e.path, "is empty", "name at least one Slack channel or PagerDuty service")
	}
	for _, n := range notifiers {
		if !l.name("notifier", n.key, n) {
			continue
		}
		// Known by name even with mistakes in it, so that those who name it are not called wrong as well.
		l.rules.targets[n.key] = router.Target{Notifier: n.key}
		if keys, ok := l.mapping(n.value, n.path); ok {
			l.rules.targets[n.key] = l.target(n, keys)
		}
	}
}

func (l *loader) target(n entry, keys []entry) router.Target {
	t := router.Target{Notifier: n.key}
	var kind entry
	for _, e := range keys {
		if e.key == "kind" || kind.value == nil && Nearest(e.key, []string{"kind", "channel", "routing_key", "allow"}) == "kind" {
			kind = e
		}
	}
	if kind.value == nil {
		l.absent(n.at, join(n.path, "kind"), "is missing", "write kind: slack or kind: pagerduty")
		return t
	}
	s, ok := l.scalar(kind.value, kind.path)
	if !ok {
		return t
	}
	t.Kind = router.Kind(s.text)
	known, other, needs, meaning := &slackKeys, &pagerdutyKeys, "channel", `a channel's id, or its name with #: "#flow-ops"`
	switch {
	case t.Kind == router.KindSlack:
	case t.Kind == router.KindPagerDuty:
		known, other, needs, meaning = other, known, "routing_key", "the integration key of the service, for Events API v2"
	default:
		kinds := []string{string(router.KindSlack), string(router.KindPagerDuty)}
		l.wrong(s.Node, s.path, "there is no kind "+s.written(), cmp.Or(didYouMean(s.text, kinds), "it is "+oneOf(kinds)))
		return t
	}
	var own []entry
	for _, e := range keys {
		if !known.has(e.key) && other.has(e.key) {
			l.wrong(e.at, e.path, fmt.Sprintf("a notifier of kind %s has no %s", t.Kind, e.key), "")
			continue
		}
		own = append(own, e)
	}
	o := l.known(own, n.at, n.path, known)
	if e, ok := o.at[needs]; ok {
		if s, ok := l.addressed(e); ok {
			l.address(&t, s)
		}
	} else if !o.has(needs) {
		l.absent(n.at, join(n.path, needs), "is missing", meaning)
	}
	if e, ok := o.at["allow"]; ok {
		l.rules.allow[n.key] = l.allowed(e)
	}
	return t
}

var (
	channelName = regexp.MustCompile(whole(channelNameForm))
	channelID   = regexp.MustCompile(whole(channelIDForm))
	anyID       = regexp.MustCompile(`^[A-Z][A-Z0-9]{8,}$`)
	routingKey  = regexp.MustCompile(whole(routingKeyForm))
	allowedID   = regexp.MustCompile(whole(allowedForm))
)

func (l *loader) address(t *router.Target, s scalar) {
	if t.Kind == router.KindPagerDuty {
		l.hide(s.text, "••••••")
		t.RoutingKey = router.Secret(s.text)
		switch {
		case routingKey.MatchString(s.text):
			if !s.resolved {
				l.warn(s.Node, s.path, "a routing key stands in the file, where everybody can read it",
					`write "${NAME}" and put it into the environment, or "${file:PATH}"`)
			}
		default:
			problem := "a routing key has letters and digits only"
			if n := utf8.RuneCountInString(s.text); n != 32 {
				problem = fmt.Sprintf("a routing key has 32 characters, and this one %d", n)
			}
			l.wrong(s.Node, s.path, problem, "it is the integration key of the service, for Events API v2")
		}
		return
	}
	t.Channel = s.text
	if channelName.MatchString(s.text) || channelID.MatchString(s.text) {
		return
	}
	hint := `write the name with # as Slack shows it, or the id that begins with C or G`
	if name := "#" + strings.ToLower(strings.TrimPrefix(s.text, "#")); !s.guarded() && !anyID.MatchString(s.text) && channelName.MatchString(name) {
		hint = fmt.Sprintf("did you mean %s?", quote(name))
	}
	l.wrong(s.Node, s.path, s.written()+" is neither the name nor the id of a channel", hint)
}

// allowed reads who may press buttons: ids of users and of user groups. Names would change.
func (l *loader) allowed(e entry) (ids []string) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		if !allowedID.MatchString(s.text) {
			l.wrong(s.Node, s.path, s.written()+" is no id of a Slack user or user group", "in Slack, copy the member id (U...) or the id of the user group (S...)")
		}
		ids = append(ids, s.text)
	}
	return ids
}

// notifier finds a notifier by the name that somebody wrote.
func (l *loader) notifier(s scalar) (router.Target, bool) {
	ok := l.find("notifier", s, "name it under notifiers")
	return l.rules.targets[s.text], ok
}
