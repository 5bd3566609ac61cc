package router

import (
	"cmp"
	"strings"
)

// Label names a subject that is no flow: "account Acme EU", "number +15550100001", "template order_confirmation
// (en_US)".
func (s Subject) Label(info FlowInfo, waba string) string {
	name := cmp.Or(s.Name, s.ID)
	switch s.Kind {
	case SubjectAccount:
		return "account " + cmp.Or(info.AccountName, name, waba)
	case SubjectPhone:
		return strings.TrimSpace("number " + cmp.Or(info.NumberName, name))
	case SubjectTemplate:
		return strings.TrimSpace("template " + name)
	case SubjectEntity:
		if id := s.NumberID(); id != "" && info.NumberName != "" {
			return "phone number " + info.NumberName
		}
	case SubjectPayment:
		return strings.TrimSpace("payment configuration " + name)
	}
	return cmp.Or(name, string(s.Kind))
}

// NumberID returns Meta's id of the phone number that an account alert is about; "" for any other subject.
func (s Subject) NumberID() string {
	if id, ok := strings.CutPrefix(s.ID, "PHONE_NUMBER:"); ok && s.Kind == SubjectEntity {
		return id
	}
	return ""
}

// OfFlow says whether it is about a flow, or about nothing that has a name.
func (s Subject) OfFlow() bool { return s.Kind == "" || s.Kind == SubjectFlow }

// Called is what something is called in a list, and what tells it from others there that are called the same.
type Called struct {
	Name    string
	Account string // what the account is called, or its id; "" for what is in none
	ID      string // of the flow, or Subject.Key
}

// TellApart returns the names, each with its account where something of another is called the same, and with its id
// where something of its own is.
func TellApart(all []Called) []string {
	accounts, ids := map[string]map[string]bool{}, map[string]map[string]bool{}
	mark := func(seen map[string]map[string]bool, name, by string) {
		if seen[name] == nil {
			seen[name] = map[string]bool{}
		}
		seen[name][by] = true
	}
	for _, c := range all {
		mark(accounts, c.Name, c.Account)
		mark(ids, c.Name+"\x00"+c.Account, c.ID)
	}
	names := make([]string, len(all))
	for i, c := range all {
		var by []string
		if len(ids[c.Name+"\x00"+c.Account]) > 1 && !IsDrill(c.ID) && c.Account != "" {
			by = append(by, c.ID)
		}
		if len(accounts[c.Name]) > 1 && c.Account != "" {
			by = append(by, c.Account)
		}
		if names[i] = c.Name; len(by) > 0 {
			names[i] += " (" + strings.Join(by, ", ") + ")"
		}
	}
	return names
}

// About names what the incident is about: its flow, or another subject.
func (i *Incident) About() string {
	if i.Subject.OfFlow() {
		return i.DisplayName(i.Flow)
	}
	return i.Subject.Label(i.FlowInfo, i.WABA)
}

// About names what the notice is about; "" where that has no name.
func (n *Notice) About() string {
	switch {
	case !n.Subject.OfFlow():
		return n.Subject.Label(n.FlowInfo, n.WABA)
	case n.Flow != "" || n.FlowName != "":
		return n.DisplayName(n.Flow)
	}
	return ""
}

// Troubles says whether the notice is bad for somebody, whatever severity a rule gives it: else what the signal
// means in general, and what helps, would be wrong.
func (n *Notice) Troubles() bool {
	if n.AlertState == Deactivated || n.Recovery != "" {
		return false
	}
	signal, word := n.SignalKey(), Level(n.Change)
	bare := Event{Name: n.Name, Signal: n.Signal, Change: n.Change}
	return LevelMeaning(signal, word) != "" || DefaultSeverity(&bare) >= Warning
}

// Word is Meta's own word for what happened to the subject, for who looks it up at Meta: "PAUSED"; "" of a flow, whose
// words a card has anyway, and of the bridge.
func (s Subject) Word(of Level) string {
	if s.OfFlow() || s.Kind == SubjectBridge || !of.IsWord() {
		return ""
	}
	return string(of)
}

// Claim says that a level of a signal is reached by what it is about, or what another word of the signal says of it:
// "Checkout: Endpoint error rate over 10 %", "account Acme EU is disabled", "template hello (en): low quality".
func Claim(about, event string, l Level) string {
	s := signalOf(event)
	known := s.find(string(l))
	switch {
	case l == "" && s.Name != "" && (s.Moves() || len(s.Levels) == 0):
		return Topic(about, event)
	case !s.Moves():
		return about + ": " + Sentence(event, l)
	case known == nil || known.Text == "":
		return Topic(about, event) + " " + string(l)
	case known.Text == "pending" || known.Text == "deferred": // not the subject is
		return Topic(about, event) + " is " + known.Text
	}
	said := known.Text
	if strings.HasPrefix(about, "account ") { // named already
		said = strings.TrimPrefix(said, "account ")
	}
	first, _, _ := strings.Cut(strings.TrimSuffix(said, ","), " ")
	switch {
	case strings.HasPrefix(known.Text, "display name "), strings.HasPrefix(known.Text, "limit "):
		return about + ": " + said
	case claims[first] == "verb":
		return about + " " + said
	case claims[first] == "state":
		return about + " is " + said
	}
	return about + ": " + said
}

// Topic names what a signal is about, of what it is about: "Checkout: Endpoint error rate", "account Acme EU: ban".
func Topic(about, event string) string {
	title := SignalName(event)
	if s := signalOf(event); s.Name != "" && s.Subject != SubjectFlow && s.Subject != SubjectBridge {
		for _, named := range []string{"Account ", "Phone number ", "Template ", "Payment configuration"} {
			title = strings.TrimPrefix(title, named)
		}
		title = strings.ToLower(cmp.Or(title, "status"))
	}
	return about + ": " + title
}

// claims are the words that the texts of levels begin with where a sentence can be made of them: docs/account-health.md
// of the program shows what comes of it.
var claims = map[string]string{
	"will": "verb", "cannot": "verb", "needs": "verb", "becomes": "verb", "violated": "verb",
	"active": "state", "approved": "state", "archived": "state", "deleted": "state", "disabled": "state",
	"flagged": "state", "in": "state", "locked": "state", "no": "state", "offboarded": "state", "onboarded": "state",
	"paused": "state", "reconnected": "state", "reinstated": "state", "rejected": "state",
	"restricted,": "state", "to": "state", "verified": "state",
}

// LinkLabel names the page that a signal's Link leads to.
func (s *Signal) LinkLabel() string {
	switch s.Link {
	case BusinessSupport:
		return "Business Support Home"
	case templateManager:
		return "Templates at Meta"
	case phoneManager:
		return "Numbers at Meta"
	case businessInfo:
		return "Business settings"
	case peopleSettings:
		return "People of the business"
	}
	return "Meta on this"
}
