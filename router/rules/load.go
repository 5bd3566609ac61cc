package rules

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"flowbridge/router"
	"flowbridge/router/rules/yamldoc"
)

// What rules are read with, and what is said of them.
type (
	// Mistake is one thing that is wrong in a rules file, or a warning about it.
	Mistake = yamldoc.Mistake
	// Mistakes are all that is wrong in files, by position. They are the error that Load returns, as *Mistakes.
	Mistakes = yamldoc.Mistakes
	// Place is where something stands in the files.
	Place = yamldoc.Place

	entry  = yamldoc.Entry
	scalar = yamldoc.Scalar
)

// File is one file of rules.
type File struct {
	Name string // as positions name it
	Data []byte
}

// Load reads a rules file; path is only its name for mistakes. On mistakes the error is a *Mistakes with
// all of them, by position; no mistake shows a secret.
func Load(path string, data []byte, cfg Config) (*Rules, error) {
	return LoadFiles([]File{{path, data}}, cfg)
}

// LoadFiles reads rules that stand in several files, so that every team can own one. They are one set of rules: what
// one file names, all can use, and no two may give the same name. Rules are tried file by file, in the order of files.
// Each file has its `version`; `default`, `fallback`, `watch`, `drill` and `report` stand in one of them at most.
func LoadFiles(files []File, cfg Config) (*Rules, error) {
	rules, found := newLoader(cfg).load(files)
	if found = found.Faults(); len(found) > 0 {
		return nil, &found
	}
	return rules, nil
}

// Check reads rules as LoadFiles does and returns everything that is worth saying of them, by position: faults, for
// which there are no rules, and else warnings about what can be loaded but is surely not meant.
func Check(files []File, cfg Config) (*Rules, Mistakes) {
	l := newLoader(cfg)
	rules, found := l.load(files)
	if len(found.Faults()) > 0 {
		return nil, found
	}
	l.warnings()
	return rules, l.Finish()
}

// loader turns the nodes of files into Rules.
type loader struct {
	*yamldoc.Reader // of the file that is being read
	*yamldoc.Report

	files               []*document
	cfg                 Config
	rules               *Rules
	names               map[string]map[string]*named // by kind and name
	flowsBy, accountsBy flowIndex
	labelled            map[string]map[string]bool // flows that have a label
	waits               []entry                    // `after`, `unless` and `remind` of the rule that is being read
	calls               []entry                    // mentions of the rule at hand
	steps               int                        // of the regular expressions read so far
	// what trying expressions and templates has cost so far, as a meter counts
	tried int
}

// document is a file as far as it could be read.
type document struct {
	*yamldoc.Reader
	root object
}

// named is something that others refer to by its name.
type named struct {
	file *yamldoc.Reader
	at   *yaml.Node
	path string
	used bool
}

func newLoader(cfg Config) *loader {
	return &loader{
		Report: yamldoc.NewReport(fileFormat()),
		cfg:    cfg,
		rules: &Rules{
			cfg: cfg, flows: map[string]router.FlowInfo{}, accounts: map[string]router.FlowInfo{},
			targets: map[string]router.Target{},
			windows: map[string]*window{}, allow: map[string][]string{}, drillsPage: map[string]bool{},
		},
		names: map[string]map[string]*named{},
	}
}

// fileFormat is what rules files have of their own.
func fileFormat() yamldoc.Format {
	return yamldoc.Format{
		Holds: "rules", Begin: `start with "version: 1"; rules.example.yaml shows the rest`,
		References: "variables and files are for " + addressKeys() + " of a notifier",
		Secret:     func(text string) bool { return credential.MatchString(text) || token.MatchString(text) },
	}
}

// credential is what the credentials of notifiers look like.
var credential = regexp.MustCompile(whole(credentialForms()...))

func credentialForms() (forms []string) {
	for _, kind := range router.Kinds() {
		for _, k := range kind.Keys() {
			if k.Is == router.KeyCredential {
				forms = append(forms, k.Forms...)
			}
		}
	}
	return forms
}

// load reads files and returns what is wrong with them. What others refer to is read first, wherever it stands.
func (l *loader) load(files []File) (*Rules, Mistakes) {
	if len(files) == 0 {
		return nil, Mistakes{{Line: 1, Column: 1, Problem: "there are no rules files"}}
	}
	for _, f := range files {
		l.open(f)
	}
	l.each("accounts", l.accounts)
	l.each("flows", l.flows)
	l.indexFlows()
	l.each("notifiers", l.notifiers)
	l.each("windows", l.windows)
	l.each("rules", l.ruleList)
	l.once("default", l.otherwise)
	l.once("fallback", l.fallback)
	l.once("watch", l.watch)
	l.once("drill", l.drill)
	l.once("report", l.report)
	l.once("unheard_after", l.unheardAfter)
	l.each("versions", l.versions)
	l.wholeFile()
	found := l.Finish()
	if len(found.Faults()) == 0 {
		l.rules.build()
	}
	return l.rules, found
}

// ownKey begins keys at the top that flowbridge does not look at: they hold anchors that others name.
const ownKey = "x-"

// open parses a file and looks at its top.
func (l *loader) open(f File) {
	var root *yaml.Node
	if l.Reader, root = l.Open(f.Name, f.Data); root == nil {
		return
	}
	l.tokens(root, "", 0)
	entries, ok := l.Mapping(root, "")
	if !ok {
		return
	}
	entries = slices.DeleteFunc(entries, func(e entry) bool { return strings.HasPrefix(e.Key, ownKey) })
	top := l.known(entries, root, "", &fileKeys)
	l.files = append(l.files, &document{l.Reader, top})
	switch e, ok := top.at["version"]; {
	case ok:
		if s, ok := l.Scalar(e.Value, e.Path); ok && s.Text != "1" {
			l.Wrong(s.Node, s.Path, "must be 1, not "+s.Written(), "")
		}
	case !top.has("version"):
		l.Absent(root, "version", "is missing", `add "version: 1" at the top`)
	}
}

// each reads a key in every file that has it.
func (l *loader) each(key string, read func(entry)) {
	for _, f := range l.files {
		if e, ok := f.root.at[key]; ok {
			l.Reader = f.Reader
			read(e)
		}
	}
}

// once reads a key that all files together have once at most.
func (l *loader) once(key string, read func(entry)) {
	l.each(key, func(e entry) {
		if l.name(key, key, e) {
			read(e)
		}
	})
}

// wholeFile looks for what must be there in some file.
func (l *loader) wholeFile() {
	if len(l.files) == 0 || l.Partial() {
		return
	}
	has := func(key string) bool {
		return slices.ContainsFunc(l.files, func(f *document) bool { return f.root.has(key) })
	}
	l.Reader = l.files[0].Reader
	root := l.files[0].root.node
	if !has("notifiers") {
		l.Absent(root, "notifiers", "is missing", "name at least one Slack channel or PagerDuty service")
	}
	unread := slices.ContainsFunc(l.files, func(f *document) bool {
		e, ok := f.root.at["rules"]
		return ok && yamldoc.Follow(e.Value).Kind != yaml.SequenceNode
	})
	if !has("default") && len(l.rules.rules) == 0 && !unread {
		l.Absent(root, "rules", "there are none, and no default: nobody would be told of anything", "")
	}
}

// name notes that something has a name; ok is false if something else of its kind has it already.
func (l *loader) name(kind, name string, e entry) (ok bool) {
	if l.names[kind] == nil {
		l.names[kind] = map[string]*named{}
	}
	if first, taken := l.names[kind][name]; taken {
		problem, hint := "there is another already, "+l.whereIs(first), "all files together have one"
		if kind != name {
			problem, hint = fmt.Sprintf("another %s is called %s already, %s", kind, yamldoc.Quote(name), l.whereIs(first)), ""
		}
		l.Wrong(e.At, e.Path, problem, hint)
		return false
	}
	l.names[kind][name] = &named{file: l.Reader, at: e.At, path: e.Path}
	return true
}

// whereIs writes where something stands, as seen from the file that is being read.
func (l *loader) whereIs(n *named) string {
	if n.file == l.Reader {
		return fmt.Sprintf("on line %d", n.at.Line)
	}
	return fmt.Sprintf("at %s:%d:%d", n.file.FileName(), n.at.Line, n.at.Column)
}

// find finds something by the name that somebody wrote.
func (l *loader) find(kind string, s scalar, nobody string) (ok bool) {
	n, ok := l.names[kind][s.Text]
	if ok {
		n.used = true
		return true
	}
	known := slices.Sorted(maps.Keys(l.names[kind]))
	hint := nobody
	if len(known) > 0 {
		hint = "known are: " + yamldoc.Shorten(strings.Join(known, ", "), 100)
	}
	l.NoSuch(s.Node, s.Path, fmt.Sprintf("there is no %s %s", kind, s.Written()),
		cmp.Or(yamldoc.DidYouMean(s.Text, known), hint))
	return false
}

func (l *loader) fallback(e entry) {
	if s, ok := l.Scalar(e.Value, e.Path); ok {
		if _, ok := l.notifier(s); ok {
			l.rules.fallback = s.Text
		}
	}
}

// flows reads names and owners of flows.
func (l *loader) flows(e entry) {
	l.owned(e, "flow", l.rules.flows, func(info *router.FlowInfo) *string { return &info.FlowName })
}

// accounts reads names and owners of WhatsApp Business Accounts.
func (l *loader) accounts(e entry) {
	l.owned(e, "account", l.rules.accounts, func(info *router.FlowInfo) *string { return &info.AccountName })
}

// owned reads what has a name and an owner, by Meta's ids.
func (l *loader) owned(e entry, kind string, into map[string]router.FlowInfo, name func(*router.FlowInfo) *string) {
	all, ok := l.Mapping(e.Value, e.Path)
	if !ok {
		return
	}
	reserved := reservedLabels()
	for _, f := range all {
		if !l.name(kind, f.Key, f) {
			continue
		}
		if !metaID.MatchString(f.Key) {
			l.Wrong(f.At, f.Path, fmt.Sprintf("%s is no id of a%s %s", yamldoc.Quote(f.Key),
				map[bool]string{true: "n"}[kind == "account"], kind),
				`an id is a row of digits; put it in quotes: "1987937931743377"`)
		}
		info := router.FlowInfo{Labels: map[string]string{}}
		var probed probe
		var endpoint *scalar
		about, _ := l.Mapping(f.Value, f.Path)
		for _, a := range about {
			if a.Key == "probe" {
				probed.said, probed.on = true, l.Boolean(a.Value, a.Path)
				continue
			}
			s, ok := l.Scalar(a.Value, a.Path)
			if !ok {
				continue
			}
			switch {
			case a.Key == "name":
				*name(&info) = s.Text
			case a.Key == "runbook":
				info.Runbook = l.link(s)
			case a.Key == "endpoint" && kind == "flow":
				probed.endpoint, endpoint = l.endpoint(s), &s
			case a.Key == "endpoint":
				l.Wrong(a.At, a.Path, "an endpoint belongs to a flow", "write it under flows")
			case slices.Contains(reserved, a.Key):
				l.Wrong(a.At, a.Path, "a label cannot be called "+a.Key+": rules know that word already", "")
			default:
				info.Labels[a.Key] = s.Text
			}
		}
		into[f.Key] = info
		l.keepProbe(kind, f, probed, endpoint)
		l.rules.labels = slices.AppendSeq(l.rules.labels, maps.Keys(info.Labels))
	}
	slices.Sort(l.rules.labels)
	l.rules.labels = slices.Compact(l.rules.labels)
}

var linkForm = regexp.MustCompile(whole(`https?://.+`))

func (l *loader) link(s scalar) string {
	u, err := url.Parse(s.Text)
	if err != nil || !linkForm.MatchString(s.Text) || u.Host == "" {
		l.Wrong(s.Node, s.Path, s.Written()+" is no link", "a runbook is a URL that begins with https:// or http://")
	}
	return s.Text
}

// object is a map whose keys are those of a table.
type object struct {
	node  *yaml.Node
	path  string
	at    map[string]entry
	slips map[string]bool // keys that are there, but misspelt
}

// has says whether a key is there, even if it is misspelt.
func (o *object) has(key string) bool { _, ok := o.at[key]; return ok || o.slips[key] }

// object reads a map whose keys are those of a table, and reports all others.
func (l *loader) object(n *yaml.Node, path string, t *table) (o object, ok bool) {
	entries, ok := l.Mapping(n, path)
	if !ok {
		return o, false
	}
	return l.known(entries, n, path, t), true
}

func (l *loader) known(entries []entry, n *yaml.Node, path string, t *table) object {
	o := object{node: n, path: path, at: map[string]entry{}, slips: map[string]bool{}}
	for _, e := range entries {
		if t.has(e.Key) {
			o.at[e.Key] = e
			continue
		}
		hint := misplaced(e.Key, t)
		if meant := yamldoc.Nearest(e.Key, t.names()); hint == "" && meant != "" {
			o.slips[meant] = true
			hint = yamldoc.DidYouMean(e.Key, t.names())
		}
		l.Wrong(e.At, e.Path, "unknown key", cmp.Or(hint, "known here: "+strings.Join(t.names(), ", ")))
	}
	return o
}
