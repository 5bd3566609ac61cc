package rules

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
)

// loader turns the nodes of a file into Rules.
type loader struct {
	*reader
	rules *Rules
	named map[string]int // names of rules, with the line where each was first used
}

// file reads the whole file. What others refer to is read first, wherever it stands.
func (l *loader) file(root *yaml.Node) {
	top, ok := l.mapping(root, "")
	if !ok {
		return
	}
	at := map[string]entry{}
	for _, e := range top {
		switch e.key {
		case "version", "flows", "notifiers", "windows", "rules", "default", "fallback":
			at[e.key] = e
		default:
			if meant := l.unknown(e, "version", "flows", "notifiers", "windows", "rules", "default", "fallback"); meant != "" {
				at[meant] = e
			}
		}
	}
	l.version(root, at)
	if e, ok := at["flows"]; ok {
		l.flows(e)
	}
	if e, ok := at["notifiers"]; ok {
		l.notifiers(e)
	} else {
		l.absent(root, "notifiers", "is missing", "name at least one Slack channel or PagerDuty service")
	}
	if e, ok := at["windows"]; ok {
		l.windows(e)
	}
	if e, ok := at["rules"]; ok {
		l.ruleList(e)
	}
	if e, ok := at["default"]; ok {
		l.otherwise(e)
	}
	if e, ok := at["rules"]; at["default"].value == nil && (!ok || follow(e.value).Kind == yaml.SequenceNode && len(l.rules.rules) == 0) {
		l.absent(root, "rules", "there are none, and no default: nobody would be told of anything", "")
	}
	if e, ok := at["fallback"]; ok {
		if s, ok := l.scalar(e.value, e.path); ok {
			if _, ok := l.notifier(s); ok {
				l.rules.fallback = s.text
			}
		}
	}
}

func (l *loader) version(root *yaml.Node, at map[string]entry) {
	e, ok := at["version"]
	if !ok {
		l.absent(root, "version", "is missing", `add "version: 1" at the top`)
		return
	}
	if s, ok := l.scalar(e.value, e.path); ok && s.text != "1" {
		l.wrong(s.Node, s.path, "must be 1, not "+s.written(), "")
	}
}

// flows reads names and owners of flows.
func (l *loader) flows(e entry) {
	flows, ok := l.mapping(e.value, e.path)
	if !ok {
		return
	}
	for _, f := range flows {
		info := router.FlowInfo{Labels: map[string]string{}}
		about, _ := l.mapping(f.value, f.path)
		for _, a := range about {
			s, ok := l.scalar(a.value, a.path)
			if !ok {
				continue
			}
			switch {
			case a.key == "name":
				info.FlowName = s.text
			case a.key == "runbook":
				info.Runbook = l.link(s)
			case slices.Contains(matchKeys(), a.key) || whenTypes(nil)[a.key] != nil:
				l.wrong(a.at, a.path, "a label cannot be called "+a.key+": rules know that word already", "")
			default:
				info.Labels[a.key] = s.text
			}
		}
		l.rules.flows[f.key] = info
		l.rules.labels = slices.AppendSeq(l.rules.labels, maps.Keys(info.Labels))
	}
	slices.Sort(l.rules.labels)
	l.rules.labels = slices.Compact(l.rules.labels)
}

func (l *loader) link(s scalar) string {
	u, err := url.Parse(s.text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		l.wrong(s.Node, s.path, s.written()+" is no link", "a runbook is a URL that begins with https:// or http://")
	}
	return s.text
}

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
		// Known by name even with mistakes in it, so that those who name it are not called wrong as well.
		l.rules.targets[n.key] = router.Target{Notifier: n.key}
		if keys, ok := l.mapping(n.value, n.path); ok {
			l.rules.targets[n.key] = l.target(n, keys)
		}
	}
}

func (l *loader) target(n entry, keys []entry) router.Target {
	t := router.Target{Notifier: n.key}
	at := map[string]entry{}
	for _, e := range keys {
		if meant := nearest(e.key, []string{"kind", "channel", "routing_key", "allow"}); meant != "" {
			at[meant] = e
		}
	}
	kind, ok := at["kind"]
	if !ok {
		l.absent(n.at, join(n.path, "kind"), "is missing", "write kind: slack or kind: pagerduty")
		return t
	}
	s, ok := l.scalar(kind.value, kind.path)
	if !ok {
		return t
	}
	t.Kind = router.Kind(s.text)
	needs, meaning := "channel", `a channel's id, or its name with #: "#flow-ops"`
	switch t.Kind {
	case router.KindSlack:
	case router.KindPagerDuty:
		needs, meaning = "routing_key", "the integration key of the service, for Events API v2"
	default:
		kinds := []string{string(router.KindSlack), string(router.KindPagerDuty)}
		hint := didYouMean(s.text, kinds)
		if hint == "" {
			hint = "it is " + oneOf(kinds)
		}
		l.wrong(s.Node, s.path, "there is no kind "+s.written(), hint)
		return t
	}
	for _, e := range keys {
		switch {
		case e.key == "kind":
		case e.key == needs:
			if s, ok := l.scalar(e.value, e.path); ok {
				l.address(&t, s)
			}
		case e.key == "allow" && t.Kind == router.KindSlack:
			l.rules.allow[n.key] = l.allowed(e)
		case slices.Contains([]string{"channel", "routing_key", "allow"}, e.key):
			l.wrong(e.at, e.path, fmt.Sprintf("a notifier of kind %s has no %s", t.Kind, e.key), "")
		case t.Kind == router.KindSlack:
			l.unknown(e, "kind", needs, "allow")
		default:
			l.unknown(e, "kind", needs)
		}
	}
	if at[needs].value == nil {
		l.absent(n.at, join(n.path, needs), "is missing", meaning)
	}
	return t
}

var (
	channelName = regexp.MustCompile(`^#[^\s#,A-Z]{1,80}$`)
	channelID   = regexp.MustCompile(`^[CG][A-Z0-9]{8,30}$`)
	anyID       = regexp.MustCompile(`^[A-Z][A-Z0-9]{8,}$`)
	routingKey  = regexp.MustCompile(`^[A-Za-z0-9]{32}$`)
)

func (l *loader) address(t *router.Target, s scalar) {
	if t.Kind == router.KindPagerDuty {
		l.hide(s.text, "••••••")
		t.RoutingKey = router.Secret(s.text)
		if !routingKey.MatchString(s.text) {
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

var allowedID = regexp.MustCompile(`^[USW][A-Z0-9]{7,30}$`)

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
	t, ok := l.rules.targets[s.text]
	if !ok {
		known := slices.Sorted(maps.Keys(l.rules.targets))
		l.absent(s.Node, s.path, "there is no notifier "+s.written(), cmp.Or(didYouMean(s.text, known), "known are: "+shorten(strings.Join(known, ", "), 100)))
	}
	return t, ok
}

// unknown reports a key that nobody knows, and returns the one that was meant, or "".
func (l *loader) unknown(e entry, known ...string) (meant string) {
	hint := "known here: " + strings.Join(known, ", ")
	if meant = nearest(e.key, known); meant != "" {
		hint = didYouMean(e.key, known)
	}
	l.wrong(e.at, e.path, "unknown key", hint)
	return meant
}
