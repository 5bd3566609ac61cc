package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// notifiers reads whom rules can tell.
func (l *loader) notifiers(e entry) {
	notifiers, ok := l.Mapping(e.Value, e.Path)
	if !ok {
		return
	}
	if len(notifiers) == 0 {
		l.Wrong(yamldoc.Follow(e.Value), e.Path, "is empty", "name at least one: "+eitherKind())
	}
	for _, n := range notifiers {
		if !l.name("notifier", n.Key, n) {
			continue
		}
		// Known by name even with mistakes in it, so that those who name it are not called wrong as well.
		l.rules.targets[n.Key] = router.Target{Notifier: n.Key}
		if keys, ok := l.Mapping(n.Value, n.Path); ok {
			l.rules.targets[n.Key] = l.target(n, keys)
		}
	}
}

func (l *loader) target(n entry, keys []entry) router.Target {
	t := router.Target{Notifier: n.Key}
	var kind entry
	for _, e := range keys {
		if e.Key == "kind" || kind.Value == nil && yamldoc.Nearest(e.Key, append(foreignKeys(""), "kind")) == "kind" {
			kind = e
		}
	}
	if kind.Value == nil {
		l.Absent(n.At, yamldoc.Join(n.Path, "kind"), "is missing", "write kind: "+strings.Join(kindWords(), " or kind: "))
		return t
	}
	s, ok := l.Scalar(kind.Value, kind.Path)
	if !ok {
		return t
	}
	if t.Kind = router.Kind(s.Text); !t.Kind.Known() {
		l.Wrong(s.Node, s.Path, "there is no kind "+s.Written(), cmp.Or(yamldoc.DidYouMean(s.Text, kindWords()),
			"it is "+yamldoc.OneOf(kindWords())))
		return t
	}
	known, foreign := notifierKeys(t.Kind), foreignKeys(t.Kind)
	var own []entry
	for _, e := range keys {
		if e.Key == drillKey && !t.Kind.Pages() {
			l.Wrong(e.At, e.Path, fmt.Sprintf("a notifier of kind %s has no %s: only a kind that pages has it", t.Kind,
				e.Key), "remove it: drills are told here in any case")
			continue
		}
		if !known.has(e.Key) && slices.Contains(foreign, e.Key) {
			l.Wrong(e.At, e.Path, fmt.Sprintf("a notifier of kind %s has no %s", t.Kind, e.Key), "")
			continue
		}
		own = append(own, e)
	}
	o := l.known(own, n.At, n.Path, &known)
	for _, k := range t.Kind.Keys() {
		e, ok := o.at[k.Name]
		switch {
		case ok && k.Is == router.KeyPeople:
			l.rules.allow[n.Key] = l.people(e, &k)
		case ok:
			l.address(&t, e, &k)
		case k.Is != router.KeyPeople && !o.has(k.Name):
			l.Absent(n.At, yamldoc.Join(n.Path, k.Name), "is missing", k.Missing)
		}
	}
	if e, ok := o.at[drillKey]; ok {
		l.drillPages(n.Key, e)
	}
	return t
}

// drillPages reads whether drills page.
func (l *loader) drillPages(notifier string, e entry) {
	s, ok := l.Scalar(e.Value, e.Path)
	switch {
	case !ok:
	case s.Text != drillPages:
		l.Wrong(s.Node, s.Path, "must be "+drillPages+", not "+s.Written(), "leave it out where drills are not to page")
	default:
		l.rules.drillsPage[notifier] = true
	}
}

// foreignKeys are the keys of the notifiers of the other kinds.
func foreignKeys(but router.Kind) (names []string) {
	for _, kind := range router.Kinds() {
		for _, k := range kind.Keys() {
			if kind != but {
				names = append(names, k.Name)
			}
		}
	}
	return names
}

// eitherKind lists what a notifier can be: a Slack channel or a PagerDuty service.
func eitherKind() string {
	var all []string
	for _, kind := range router.Kinds() {
		all = append(all, kind.One())
	}
	last := len(all) - 1
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

// address reads where a notifier is, or its credential. No mistake quotes a credential.
func (l *loader) address(t *router.Target, e entry, k *router.KindKey) {
	s, ok := l.addressed(e, k)
	if !ok {
		return
	}
	problem, meant := k.Check(s.Text)
	if k.Is == router.KeyCredential {
		l.Hide(s.Text, "••••••")
		t.Credential = router.Secret(s.Text)
		switch {
		case problem != "":
			l.Wrong(s.Node, s.Path, problem, k.Hint)
		case !s.Resolved:
			l.Warn(s.Node, s.Path, k.Noun+" stands in the file, where everybody can read it",
				`write "${NAME}" and put it into the environment, or "${file:PATH}"`)
		}
		return
	}
	t.Address = s.Text
	if problem == "" {
		return
	}
	hint := k.Hint
	if meant != "" && !s.Guarded() {
		hint = fmt.Sprintf("did you mean %s?", yamldoc.Quote(meant))
	}
	written := s.Written()
	if t.Kind.Private() {
		written = "the address"
	}
	l.Wrong(s.Node, s.Path, written+" "+problem, hint)
}

// people reads who may act: ids, since names would change.
func (l *loader) people(e entry, k *router.KindKey) (ids []string) {
	all, _ := l.Scalars(e.Value, e.Path)
	for _, s := range all {
		if problem, _ := k.Check(s.Text); problem != "" {
			l.Wrong(s.Node, s.Path, s.Written()+" "+problem, k.Hint)
		}
		ids = append(ids, s.Text)
	}
	return ids
}

// notifier finds a notifier by the name that somebody wrote.
func (l *loader) notifier(s scalar) (router.Target, bool) {
	ok := l.find("notifier", s, "name it under notifiers")
	return l.rules.targets[s.Text], ok
}
