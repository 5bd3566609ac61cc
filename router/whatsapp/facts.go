package whatsapp

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"flowbridge/router"
)

// maxFact bounds the text of a fact, in characters.
const maxFact = 600

// factForm says how a member of a value is shown.
type factForm struct {
	path string
	name string // "": not shown: the subject, the change or another fact says it
	form func(string) string
}

// factForms are the members that are known, in the order in which people want to read them.
var factForms = []factForm{
	{"violation_info.violation_type", "Violation", plainWords},
	{"ban_info.waba_ban_date", "Date", dateWords},
	{"restriction_type", "Restriction", restrictionWords},
	{"restriction_info.restriction_type", "Restriction", restrictionWords},
	{"expiration", "Until", dateWords},
	{"restriction_info.expiration", "Until", dateWords},
	{"disable_info.disable_date", "Disabled on", dateWords},
	{"alert_info.alert_type", "Alert", plainWords},
	{"alert_type", "Alert", plainWords},
	{"reason", "Reason", reasonWords},
	{"rejection_reason", "Reason", reasonWords},
	{"rejection_info.reason", "Explanation", nil},
	{"rejection_info.recommendation", "Recommendation", nil},
	{"other_info.title", "Title", plainWords},
	{"other_info.description", "Description", nil},
	{"alert_info.alert_description", "Description", nil},
	{"alert_description", "Description", nil},
	{"remediation", "What to do", nil},
	{"restriction_info.remediation", "What to do", nil},
	{"violation_info.remediation", "What to do", nil},
	{"previous_quality_score", "Quality before", plainWords},
	{"new_quality_score", "Quality", plainWords},
	{"previous_category", "Category before", plainWords},
	{"new_category", "Category", plainWords},
	{"correct_category", "Becomes", plainWords},
	{"category_update_timestamp", "From", dateWords},
	{"message_template_category", "Category", plainWords},
	{"max_daily_conversations_per_business", "Limit", limitWords},
	{"max_daily_conversation_per_phone", "Limit of each number", limitWords},
	{"current_limit", "Limit", limitWords},
	{"old_limit", "Limit before", limitWords},
	{"max_phone_numbers_per_business", "Phone numbers", limitCount},
	{"max_phone_numbers_per_waba", "Phone numbers of the account", limitCount},
	{"requested_verified_name", "Requested name", nil},
	{"requester", "Requested by", nil},
	{"volume_tier_info.tier", "Tier", tierWords},
	{"volume_tier_info.pricing_category", "Category", plainWords},
	{"volume_tier_info.region", "Region", nil},
	{"volume_tier_info.effective_month", "Month", nil},
	{"volume_tier_info.tier_update_time", "Reached", dateWords},
	{"waba_info.owner_business_id", "Owner business", nil},
	{"waba_info.partner_app_id", "Partner app", nil},
	{"provider_name", "Provider", nil},
	{"provider_mid", "Merchant", nil},
	{"created_timestamp", "Created", dateWords},
	{"updated_timestamp", "Updated", dateWords},

	{path: "event"}, {path: "status"}, {path: "decision"},
	{path: "ban_info.waba_ban_state"}, {path: "waba_info.waba_id"},
	{path: "alert_info.alert_severity"}, {path: "alert_severity"}, {path: "alert_info.alert_status"},
	{path: "alert_status"},
	{path: "entity_type"}, {path: "entity_id"}, {path: "configuration_name"}, {path: "display_phone_number"},
	{path: "message_template_id"}, {path: "message_template_name"}, {path: "message_template_language"},
}

// rest returns what the value says beside subject and change: first what is known, in the order of factForms, then all
// else by its own name.
func (v *accountValue) rest() (facts []router.Fact) {
	add := func(name, text string) {
		text = router.Shorten(router.OneLine(text), maxFact)
		fact := router.Fact{Name: name, Text: text}
		if text != "" && !slices.Contains(facts, fact) {
			facts = append(facts, fact)
		}
	}
	known := map[string]bool{}
	for _, form := range factForms {
		known[form.path] = true
		if form.name == "" {
			continue
		}
		for _, l := range v.leaves {
			if l.path != form.path {
				continue
			}
			said := text(l.raw)
			if form.form != nil {
				said = form.form(said)
			}
			add(form.name, said)
		}
	}
	for _, l := range v.leaves {
		if !known[l.path] {
			add(nameWords(l.path), anyWords(l.path, text(l.raw)))
		}
	}
	return facts
}

// nameWords makes a name of the last part of a path: "Effective month".
func nameWords(path string) string {
	name := plainWords(path[strings.LastIndexByte(path, '.')+1:])
	return cmp.Or(router.Shorten(router.OneLine(name), 60), "Value")
}

// anyWords writes a member that is not known: a time by its name, else as it is.
func anyWords(path, s string) string {
	if strings.HasSuffix(path, "_time") || strings.HasSuffix(path, "timestamp") || strings.HasSuffix(path, "expiration") {
		return dateWords(s)
	}
	return s
}

// plainWords writes a word of Meta's for people: INVALID_FORMAT is "Invalid format". What is a sentence already stays.
func plainWords(s string) string {
	if strings.ContainsFunc(s, unicode.IsSpace) {
		return s
	}
	s = strings.ToLower(strings.ReplaceAll(s, "_", " "))
	first, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + s[size:]
}

// reasonWords is plainWords of a reason; NONE is none.
func reasonWords(s string) string {
	if strings.EqualFold(s, "none") {
		return ""
	}
	return plainWords(s)
}

// restrictionWords says what a restriction keeps the account from, or its name.
func restrictionWords(s string) string {
	if said := router.FormatLevel(router.AccountRestriction, router.Level(s)); said != s {
		return said
	}
	return plainWords(s)
}

// limitWords writes how many people may be reached: TIER_1K is "1,000 a day". What has not been set says nothing.
func limitWords(s string) string {
	tier, isTier := strings.CutPrefix(s, "TIER_")
	switch {
	case tier == "UNLIMITED" || s == "-1":
		return "unlimited"
	case tier == "NOT_SET" || s == "":
		return ""
	}
	digits, times := tier, 1
	for unit, size := range map[string]int{"K": 1_000, "M": 1_000_000} {
		if number, ok := strings.CutSuffix(tier, unit); ok && isTier {
			digits, times = number, size
		}
	}
	if n, err := strconv.Atoi(digits); err == nil && n >= 0 && n < 1_000_000_000 {
		return thousands(strconv.Itoa(n*times)) + " a day"
	}
	return s
}

// limitCount writes a number.
func limitCount(s string) string {
	if s == "-1" {
		return "unlimited"
	}
	return thousands(s)
}

// tierWords writes the bounds of a pricing tier: "25,000,001 to 50,000,000 messages".
func tierWords(s string) string {
	from, to, ok := strings.Cut(s, ":")
	switch {
	case !ok || !isDigits(from):
		return s
	case !isDigits(to):
		return "more than " + thousands(from) + " messages"
	}
	return thousands(from) + " to " + thousands(to) + " messages"
}

// thousands writes a whole number in groups of three; what is none stays.
func thousands(s string) string {
	if !isDigits(s) {
		return s
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// metaDates are the forms in which Meta writes days in words.
var metaDates = []string{"January 2, 2006", "Jan 2, 2006", "2006-01-02", "01/02/2006", time.RFC3339,
	"2006-01-02T15:04:05-0700"}

// dateWords writes a time for people: "4 December 2026, 16:00 UTC", or the day alone at midnight. What is none stays.
func dateWords(s string) string {
	at := oneTime(s)
	for _, form := range metaDates {
		if day, err := time.Parse(form, s); at.IsZero() && err == nil {
			at = day.UTC()
		}
	}
	switch {
	case at.IsZero():
		return s
	case at.Equal(at.Truncate(24 * time.Hour)):
		return at.Format("2 January 2006")
	}
	return at.Format("2 January 2006, 15:04 UTC")
}

// oneTime reads seconds since 1970, or milliseconds; zero for what is no time of our days.
func oneTime(s string) time.Time {
	n := parse(s)
	if n == nil {
		return time.Time{}
	}
	seconds := *n
	if seconds > 1e11 {
		seconds /= 1000
	}
	if seconds < float64(earliest.Unix()) || seconds > 1e10 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}

// pausedUntil finds the end of a pause in Meta's sentence about it: "... until Nov 28 at 4:47 AM UTC because ...".
var pausedUntil = regexp.MustCompile(
	`\buntil ([A-Z][a-z]{2,8} \d{1,2}(?:, \d{4})?(?:,? at \d{1,2}:\d{2}(?: ?[AP]M)?(?: [A-Z]{2,4})?)?)`)

func pauseEnd(description string) string {
	found := pausedUntil.FindStringSubmatch(description)
	if found == nil {
		return ""
	}
	return found[1]
}

// freezeHelp is what Meta recommends where the version of a flow will freeze. Source: Meta, "Flows versioning".
const freezeHelp = "Move the draft to a newer version before it freezes: with a frozen version it can be published " +
	"no more. Versions that Meta recommends: https://developers.facebook.com/docs/whatsapp/flows/changelogs"

// flowFacts are what a change of a flow says for people beside its numbers and words.
func flowFacts(e *router.Event, reason string) (facts []router.Fact) {
	if reason = reasonWords(reason); reason != "" {
		facts = append(facts, router.Fact{Name: "Reason", Text: router.Shorten(router.OneLine(reason), maxFact)})
	}
	if e.Warning != "" && e.OldStatus == "" && e.NewStatus != "" {
		facts = append(facts, router.Fact{Name: "What to do", Text: freezeHelp})
	}
	return facts
}
