package rules

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// ${NAME} and ${file:PATH} stand for an address, for a part of one, or for a credential, and only where one belongs:
// whoever may write rules could have any secret of the machine told to a channel otherwise. Elsewhere they are
// mistakes, and $${NAME} is the text ${NAME}.

var (
	wholeReference = regexp.MustCompile(whole(referenceForm))
	anyReference   = regexp.MustCompile(referenceForm)
)

const maxSecret = 64 << 10 // bytes of what ${} stands for

// OwnSecrets lists the variables that hold credentials of the bridge's own; NAME_FILE names a file of one. Rules never
// get them.
func OwnSecrets() []string {
	return []string{
		"META_APP_SECRET", "META_VERIFY_TOKEN", "META_ACCESS_TOKEN", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET",
		"SLACK_APP_TOKEN",
		"PAGERDUTY_API_TOKEN", "PAGERDUTY_WEBHOOK_SECRET", "FLOWBRIDGE_ADMIN_TOKEN", "FLOWBRIDGE_VIEW_TOKEN", "FLOWBRIDGE_DB",
		"PGPASSWORD",
	}
}

// addressKeys lists the keys of notifiers in which something may stand for the value.
func addressKeys() string {
	var names []string
	for _, kind := range router.Kinds() {
		for _, k := range kind.Keys() {
			if k.Is != router.KeyPeople {
				names = append(names, k.Name)
			}
		}
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// addressed reads the single value of a key in which ${NAME} or ${file:PATH} may stand for all of it.
func (l *loader) addressed(e entry, k *router.KindKey) (s scalar, ok bool) {
	n := yamldoc.Follow(e.Value)
	if !strings.Contains(n.Value, "${") {
		return l.Scalar(n, e.Path)
	}
	s = l.ValueAt(n, e.Path, "")
	m := wholeReference.FindStringSubmatch(n.Value)
	if m == nil {
		if k.Is == router.KeyAddress && !strings.Contains(n.Value, "$${") && anyReference.MatchString(n.Value) {
			return l.pieced(s, k)
		}
		if part := yamldoc.Reference(n.Value); part != "" {
			l.Wrong(n, e.Path, part+" is only a part of the value", "it must be the whole value: put the rest into it")
			return s, false
		}
		return l.Scalar(n, e.Path)
	}
	s.Text, ok = l.resolve(s, m[2], k)
	s.Resolved = true
	l.Hide(s.Text, s.Value)
	return s, ok
}

// pieced reads an address of which variables or files are a part: "#alerts-${ENV}".
func (l *loader) pieced(s scalar, k *router.KindKey) (scalar, bool) {
	whole, standsIn := true, false
	s.Text = anyReference.ReplaceAllStringFunc(s.Value, func(reference string) string {
		text, ok := l.resolve(s, reference[2:len(reference)-1], k)
		whole = whole && ok
		l.Hide(text, reference)
		standsIn = standsIn || l.cfg.StandIns && text == k.StandIn
		return text
	})
	if standsIn {
		s.Text = k.StandIn
	}
	s.Resolved = true
	l.Hide(s.Text, s.Value)
	return s, whole
}

// resolve returns what NAME or file:PATH stands for.
func (l *loader) resolve(s scalar, name string, k *router.KindKey) (string, bool) {
	if path, isFile := strings.CutPrefix(name, "file:"); isFile {
		return l.fromFile(s, path, k)
	}
	return l.fromEnv(s, name, k)
}

func (l *loader) fromEnv(s scalar, name string, k *router.KindKey) (string, bool) {
	if slices.Contains(OwnSecrets(), strings.TrimSuffix(name, "_FILE")) {
		l.Wrong(s.Node, s.Path, name+" is for the bridge itself, and rules never get it",
			"give what belongs here a variable of its own")
		return "", false
	}
	text, ok := "", false
	if l.cfg.Env != nil {
		text, ok = l.cfg.Env(name)
	}
	text = strings.TrimSpace(text)
	hint := fmt.Sprintf("set it; where only the file is checked, %s will do", k.Any)
	switch {
	case text == "" && l.cfg.StandIns:
		return k.StandIn, true
	case !ok:
		l.Wrong(s.Node, s.Path, fmt.Sprintf("the environment variable %s is not set", name), hint)
	case text == "":
		l.Wrong(s.Node, s.Path, fmt.Sprintf("the environment variable %s is empty", name), hint)
	}
	return text, text != ""
}

func (l *loader) fromFile(s scalar, path string, k *router.KindKey) (string, bool) {
	if l.cfg.ReadFile == nil {
		l.Wrong(s.Node, s.Path, fmt.Sprintf("the file %s cannot be read here", yamldoc.Quote(path)), "")
		return "", false
	}
	data, err := l.cfg.ReadFile(path)
	text := strings.TrimSpace(string(data))
	hint := fmt.Sprintf("write it; where only the rules are checked, a file with %s will do", k.Any)
	switch {
	case l.cfg.StandIns && errors.Is(err, fs.ErrNotExist):
		return k.StandIn, true
	case errors.Is(err, fs.ErrNotExist):
		l.Wrong(s.Node, s.Path, fmt.Sprintf("there is no file %s", yamldoc.Quote(path)), hint)
	case err != nil:
		l.Wrong(s.Node, s.Path, fmt.Sprintf("the file %s cannot be read: %v", yamldoc.Quote(path), err), "")
	case len(data) > maxSecret:
		l.Wrong(s.Node, s.Path, fmt.Sprintf("the file %s is too large for a value", yamldoc.Quote(path)), "")
	case text == "":
		l.Wrong(s.Node, s.Path, fmt.Sprintf("the file %s is empty", yamldoc.Quote(path)), hint)
	default:
		return text, true
	}
	return "", false
}
