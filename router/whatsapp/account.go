package whatsapp

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
)

// account reads a change of a field about the account itself, its numbers, its templates or its business. Whatever it
// holds, it is an event: odd members are left out of subject, change and facts, and stay in Value.
func (d *decoder) account(value []byte) {
	name := strings.ToUpper(d.field)
	v := readAccount(value)
	e := router.Event{Name: name, Subject: router.Subject{Kind: router.SubjectAccount}}
	if kind := router.SubjectOf(name); kind != router.SubjectFlow {
		e.Subject.Kind = kind
	}
	if read, ok := accountReaders[d.field]; ok {
		read(v, &e)
	} else {
		e.Change = v.word("event", "status", "decision")
	}
	if e.AlertState == "" && !v.undecided {
		e.AlertState = router.StateOf(e.SignalKey(), e.Change)
	}
	e.Facts = slices.Concat(e.Facts, v.rest())
	if len(e.Facts) > maxFacts {
		e.Facts = e.Facts[:maxFacts]
	}
	if e.Name == e.Signal {
		e.Signal = ""
	}
	if len(v.restrictions) == 0 {
		d.add(e, d.time, value)
		return
	}
	facts := e.Facts
	for _, one := range v.restrictions { // each begins and ends by itself: an event for each
		e.Change, e.Expires, e.Digest = one.kind, one.until, ""
		e.AlertState = router.Activated
		e.Facts = slices.Concat(one.facts, facts)
		own := value
		if len(v.restrictions) > 1 {
			own = one.alone
		}
		d.add(e, d.time, own)
	}
}

// accountReaders fill in what is particular to a field, by its name: subject, signal, change, and facts that need more
// than a name and a form.
var accountReaders = map[string]func(*accountValue, *router.Event){
	"account_update":              readAccountUpdate,
	"account_review_update":       func(v *accountValue, e *router.Event) { e.Change = v.word("decision") },
	"account_alerts":              readAccountAlert,
	"phone_number_quality_update": readPhoneQuality,
	"phone_number_name_update": func(v *accountValue, e *router.Event) {
		v.phone(e)
		e.Change = v.word("decision")
	},
	"security": func(v *accountValue, e *router.Event) {
		v.phone(e)
		e.Change = v.word("event")
	},
	"message_template_status_update": readTemplateStatus,
	"message_template_quality_update": func(v *accountValue, e *router.Event) {
		v.template(e)
		e.Change = v.word("new_quality_score")
	},
	"template_category_update": func(v *accountValue, e *router.Event) {
		v.template(e)
		e.Change = cmp.Or(v.word("correct_category"), v.word("new_category"))
	},
	"message_template_components_update": func(v *accountValue, e *router.Event) { v.template(e) },
	"payment_configuration_update":       readPayment,
}

func readAccountUpdate(v *accountValue, e *router.Event) {
	e.Change = v.word("event")
	e.WABA = v.word("waba_info.waba_id") // a partner's business has the entry: the account is named within
	switch e.Change {
	case "DISABLED_UPDATE":
		e.Signal, e.Change = router.AccountBan, cmp.Or(v.word("ban_info.waba_ban_state"), e.Change)
	case router.AccountRestriction:
		e.Signal = router.AccountRestriction
		v.readRestrictions()
	case router.AccountViolation:
		e.Signal = router.AccountViolation
	default:
		if router.StateOf(router.AccountConnection, e.Change) != "" {
			e.Signal = router.AccountConnection
		}
	}
}

// readAccountAlert reads also the older form, in which nothing is nested.
func readAccountAlert(v *accountValue, e *router.Event) {
	id, kind := v.word("entity_id"), v.word("entity_type")
	e.Subject.ID = strings.Trim(kind+":"+id, ":")
	e.Subject.Name = strings.TrimSpace(strings.ToLower(plainWords(kind)) + " " + id)
	e.Change = v.word("alert_info.alert_type", "alert_type")
	severity := v.word("alert_info.alert_severity", "alert_severity")
	state := v.word("alert_info.alert_status", "alert_status")
	v.undecided = true // the type is no word that begins or ends something: its status is
	switch state {
	case "ACTIVE":
		e.AlertState = router.Activated
	case "NONE", "RESOLVED":
		e.AlertState = router.Deactivated
	case "":
	default:
		e.Facts = append(e.Facts, router.Fact{Name: "Status", Text: plainWords(state)})
		return // whatever it is: news
	}
	e.Said = saidSeverity(severity)
}

// saidSeverity reads alert_severity.
func saidSeverity(word string) router.Severity {
	switch strings.ToLower(word) {
	case "":
		return router.SeverityUnset
	case "critical":
		return router.Critical
	case "error", "high":
		return router.Error
	case "info", "informational", "low":
		return router.Info
	}
	return router.Warning
}

// readPhoneQuality tells a number's limit, which moves by itself, from its quality.
func readPhoneQuality(v *accountValue, e *router.Event) {
	v.phone(e)
	e.Change = v.word("event")
	if router.StateOf(router.PhoneMessagingLimit, e.Change) != "" {
		e.Signal = router.PhoneMessagingLimit
	}
}

// unpaused is other_info.title where the end of a pause comes as APPROVED.
const unpaused = "UNPAUSE"

func readTemplateStatus(v *accountValue, e *router.Event) {
	v.template(e)
	e.Change = v.word("event")
	if title := v.word("other_info.title"); title == unpaused && e.Change == "APPROVED" {
		e.Change = title
	}
	until := pauseEnd(v.text("other_info.description"))
	if until != "" && router.StateOf(e.Name, e.Change) == router.Activated {
		e.Facts = append(e.Facts, router.Fact{Name: "Until", Text: until})
	}
}

// readPayment reads a status: whatever a configuration needs, nobody can pay by it until then.
func readPayment(v *accountValue, e *router.Event) {
	name := v.word("configuration_name")
	e.Subject.ID, e.Subject.Name = name, name
	e.Change = v.word("status")
	if strings.HasPrefix(strings.ToLower(e.Change), "needs") {
		e.AlertState = router.Activated
	}
}

// phone names the number that an event is about, by its digits.
func (v *accountValue) phone(e *router.Event) {
	number := v.word("display_phone_number")
	e.Subject.ID, e.Subject.Name = router.PlainPhone(number), number
	if e.Subject.ID == number && number != "" && !strings.HasPrefix(number, "+") {
		e.Subject.Name = "+" + number
	}
}

// template names a template in a language.
func (v *accountValue) template(e *router.Event) {
	name, language := v.word("message_template_name"), v.word("message_template_language")
	id := cmp.Or(v.word("message_template_id"), name)
	e.Subject.ID, e.Subject.Name = strings.Trim(id+":"+language, ":"), cmp.Or(name, id)
	if language != "" {
		e.Subject.Name = strings.TrimSpace(e.Subject.Name + " (" + language + ")")
	}
}

// restriction is one entry of restriction_info.
type restriction struct {
	kind  string
	until time.Time
	facts []router.Fact
	alone []byte // the value, with this entry only
}

func (v *accountValue) readRestrictions() {
	for raw := range elements(v.raw["restriction_info"]) {
		if len(v.restrictions) == maxRestrictions { // no post of Meta's: it stays one event, as it came
			v.restrictions = nil
			return
		}
		one := readAccount(raw)
		r := restriction{kind: one.word("restriction_type"), until: oneTime(one.word("expiration"))}
		if r.kind == "" {
			continue
		}
		r.facts = one.rest()
		r.alone = fmt.Appendf(nil, `{"event":%q,"restriction_info":[%s]}`, router.AccountRestriction, raw)
		v.restrictions = append(v.restrictions, r)
	}
	if len(v.restrictions) > 0 {
		v.leaves = slices.DeleteFunc(v.leaves, func(l leaf) bool { return strings.HasPrefix(l.path, "restriction_info.") })
	}
}

// accountValue is the value of a change about the account.
type accountValue struct {
	raw          map[string][]byte // members of the value itself
	leaves       []leaf            // what it holds, however nested, in Meta's order
	restrictions []restriction
	undecided    bool // its change says nothing of what begins or ends
}

// leaf is a member that holds no others, by the names of those that hold it: "ban_info.waba_ban_state". Elements of a
// list have the name of the list.
type leaf struct {
	path string
	raw  []byte
}

// What is looked at of a value: no field of Meta's comes near.
const (
	maxLeaves = 64
	maxNested = 6
	maxFacts  = 16

	maxRestrictions = 50
)

func readAccount(value []byte) *accountValue {
	v := &accountValue{raw: map[string][]byte{}}
	members(value, func(key, raw []byte) { v.raw[string(key)] = raw })
	v.gather("", value, 0)
	return v
}

func (v *accountValue) gather(path string, raw []byte, depth int) {
	switch {
	case len(v.leaves) >= maxLeaves || depth > maxNested || isNull(raw):
	case raw[0] == '{':
		members(raw, func(key, value []byte) {
			at := bounded(clean(string(key)))
			if path != "" {
				at = path + "." + at
			}
			v.gather(at, value, depth+1)
		})
	case raw[0] == '[':
		for element := range elements(raw) {
			v.gather(path, element, depth+1)
		}
	case path != "":
		v.leaves = append(v.leaves, leaf{path, raw})
	}
}

// word returns the first of some leaves that says anything; of a list its first element.
func (v *accountValue) word(paths ...string) string {
	return strings.TrimSpace(bounded(v.text(paths...)))
}

func (v *accountValue) text(paths ...string) string {
	for _, path := range paths {
		for _, l := range v.leaves {
			if l.path == path {
				if s := text(l.raw); s != "" {
					return s
				}
			}
		}
	}
	return ""
}
