package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"flowbridge/router"
)

// notifiers reads whom rules can tell.
func (l *loader) notifiers(e entry) {
	notifiers, ok := l.mapping(e.value, e.path)
	if !ok {
		return
	}
	if len(notifiers) == 0 {
		l.wrong(follow(e.value), e.path, "is empty", "name at least one: "+eitherKind())
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
		if e.key == "kind" || kind.value == nil && Nearest(e.key, append(foreignKeys(""), "kind")) == "kind" {
			kind = e
		}
	}
	if kind.value == nil {
		l.absent(n.at, join(n.path, "kind"), "is missing", "write kind: "+strings.Join(kindWords(), " or kind: "))
		return t
	}
	s, ok := l.scalar(kind.value, kind.path)
	if !ok {
		return t
	}
	if t.Kind = router.Kind(s.text); !t.Kind.Known() {
		l.wrong(s.Node, s.path, "there is no kind "+s.written(), cmp.Or(didYouMean(s.text, kindWords()), "it is "+oneOf(kindWords())))
		return t
	}
	known, foreign := notifierKeys(t.Kind), foreignKeys(t.Kind)
	var own []entry
	for _, e := range keys {
		if !known.has(e.key) && slices.Contains(foreign, e.key) {
			l.wrong(e.at, e.path, fmt.Sprintf("a notifier of kind %s has no %s", t.Kind, e.key), "")
			continue
		}
		own = append(own, e)
	}
	o := l.known(own, n.at, n.path, &known)
	for _, k := range t.Kind.Keys() {
		e, ok := o.at[k.Name]
		switch {
		case ok && k.Is == router.KeyPeople:
			l.rules.allow[n.key] = l.people(e, &k)
		case ok:
			l.address(&t, e, &k)
		case k.Is != router.KeyPeople && !o.has(k.Name):
			l.absent(n.at, join(n.path, k.Name), "is missing", k.Missing)
		}
	}
	return t
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
	problem, meant := k.Check(s.text)
	if k.Is == router.KeyCredential {
		l.hide(s.text, "••••••")
		t.Credential = router.Secret(s.text)
		switch {
		case problem != "":
			l.wrong(s.Node, s.path, problem, k.Hint)
		case !s.resolved:
			l.warn(s.Node, s.path, k.Noun+" stands in the file, where everybody can read it",
				`write "${NAME}" and put it into the environment, or "${file:PATH}"`)
		}
		return
	}
	t.Address = s.text
	if problem == "" {
		return
	}
	hint := k.Hint
	if meant != "" && !s.guarded() {
		hint = fmt.Sprintf("did you mean %s?", quote(meant))
	}
	written := s.written()
	if t.Kind.Private() {
		written = "the address"
	}
	l.wrong(s.Node, s.path, written+" "+problem, hint)
}

// people reads who may act: ids, since names would change.
func (l *loader) people(e entry, k *router.KindKey) (ids []string) {
	all, _ := l.scalars(e.value, e.path)
	for _, s := range all {
		if problem, _ := k.Check(s.text); problem != "" {
			l.wrong(s.Node, s.path, s.written()+" "+problem, k.Hint)
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
