package rules

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"flowbridge/router"
)

// ${NAME} and ${file:PATH} stand for an address or a credential, and only where one belongs: whoever may write rules could
// have any secret of the machine told to a channel otherwise. Elsewhere they are mistakes, and $${NAME} is the text ${NAME}.

var (
	wholeReference = regexp.MustCompile(whole(referenceForm))
	anyReference   = regexp.MustCompile(`\$*\$\{([A-Za-z_][A-Za-z0-9_]*|file:[^}]*)\}`)
)

// OwnSecrets lists the variables that hold credentials of the bridge's own; NAME_FILE names a file of one. Rules never get
// them.
func OwnSecrets() []string {
	return []string{
		"META_APP_SECRET", "META_VERIFY_TOKEN", "META_ACCESS_TOKEN", "SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN",
		"PAGERDUTY_API_TOKEN", "PAGERDUTY_WEBHOOK_SECRET", "FLOWBRIDGE_ADMIN_TOKEN", "FLOWBRIDGE_VIEW_TOKEN", "FLOWBRIDGE_DB", "PGPASSWORD",
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

// plain returns the text of a value in which nothing is resolved, and where in it, in characters, a $ was left out.
func (r *reader) plain(s scalar) (text string, dropped []int, ok bool) {
	if !strings.Contains(s.Value, "${") {
		return s.Value, nil, true
	}
	ok = true
	var b strings.Builder
	rest := 0
	for _, at := range anyReference.FindAllStringIndex(s.Value, -1) {
		found := s.Value[at[0]:at[1]]
		if !strings.HasPrefix(found, "$$") {
			line, column := r.inside(s, len([]rune(s.Value[:at[0]])))
			r.at(line, column, s.path, shorten(found, 60)+" stands for nothing here",
				"variables and files are for "+addressKeys()+" of a notifier; for the text itself write $${")
			ok = false
			continue
		}
		b.WriteString(s.Value[rest:at[0]])
		dropped = append(dropped, len([]rune(b.String())))
		rest = at[0] + 1
	}
	b.WriteString(s.Value[rest:])
	return b.String(), dropped, ok
}

// addressed reads the single value of a key in which ${NAME} or ${file:PATH} may stand for all of it.
func (r *reader) addressed(e entry, k *router.KindKey) (s scalar, ok bool) {
	n := follow(e.value)
	if !strings.Contains(n.Value, "${") {
		return r.scalar(n, e.path)
	}
	s = scalar{Node: n, path: e.path}
	m := wholeReference.FindStringSubmatch(n.Value)
	if m == nil {
		if part := anyReference.FindString(n.Value); part != "" {
			r.wrong(n, e.path, part+" is only a part of the value", "it must be the whole value: put the rest into it")
			return s, false
		}
		return r.scalar(n, e.path)
	}
	if path, isFile := strings.CutPrefix(m[2], "file:"); isFile {
		s.text, ok = r.fromFile(s, path, k)
	} else {
		s.text, ok = r.fromEnv(s, m[2], k)
	}
	s.resolved = true
	r.hide(s.text, s.Value)
	return s, ok
}

func (r *reader) fromEnv(s scalar, name string, k *router.KindKey) (string, bool) {
	if slices.Contains(OwnSecrets(), strings.TrimSuffix(name, "_FILE")) {
		r.wrong(s.Node, s.path, name+" is for the bridge itself, and rules never get it", "give what belongs here a variable of its own")
		return "", false
	}
	text, ok := "", false
	if r.cfg.Env != nil {
		text, ok = r.cfg.Env(name)
	}
	text = strings.TrimSpace(text)
	hint := fmt.Sprintf("set it; where only the file is checked, %s will do", k.Any)
	switch {
	case text == "" && r.cfg.StandIns:
		return k.StandIn, true
	case !ok:
		r.wrong(s.Node, s.path, fmt.Sprintf("the environment variable %s is not set", name), hint)
	case text == "":
		r.wrong(s.Node, s.path, fmt.Sprintf("the environment variable %s is empty", name), hint)
	}
	return text, text != ""
}

func (r *reader) fromFile(s scalar, path string, k *router.KindKey) (string, bool) {
	if r.cfg.ReadFile == nil {
		r.wrong(s.Node, s.path, fmt.Sprintf("the file %s cannot be read here", quote(path)), "")
		return "", false
	}
	data, err := r.cfg.ReadFile(path)
	text := strings.TrimSpace(string(data))
	switch {
	case r.cfg.StandIns && errors.Is(err, fs.ErrNotExist):
		return k.StandIn, true
	case err != nil:
		r.wrong(s.Node, s.path, fmt.Sprintf("the file %s cannot be read: %v", quote(path), err), "")
	case len(data) > maxSecret:
		r.wrong(s.Node, s.path, fmt.Sprintf("the file %s is too large for a value", quote(path)), "")
	case text == "":
		r.wrong(s.Node, s.path, fmt.Sprintf("the file %s is empty", quote(path)), "")
	default:
		return text, true
	}
	return "", false
}
