package router

import (
	"regexp"
	"strconv"
	"time"
)

// FlowVersion is what Meta says of a version of the Flow JSON. A frozen version can be published no longer; flows that
// have it are sent and opened until it has expired.
type FlowVersion struct {
	Version string    // "5.0"
	Frozen  time.Time // since then; zero for not, or not known
	Expires time.Time // zero for not, or not known
}

// flowVersions are those of which Meta's changelog names a date. Source: Meta, "WhatsApp Flows changelog"
// (https://developers.facebook.com/docs/whatsapp/flows/changelogs), entries of April 8th, 2025 (2.1 to 4.0 are frozen)
// and of September 10th, 2025 (5.0 is frozen); as it stood on November 11th, 2025 it names no date on which a version
// expires, and lists all of these as "Sending Flows". A date that Meta names later is added here, or under `versions`
// of a rules file, which goes before.
var flowVersions = []FlowVersion{
	{Version: "2.1", Frozen: time.Date(2025, 4, 8, 0, 0, 0, 0, time.UTC)},
	{Version: "3.0", Frozen: time.Date(2025, 4, 8, 0, 0, 0, 0, time.UTC)},
	{Version: "3.1", Frozen: time.Date(2025, 4, 8, 0, 0, 0, 0, time.UTC)},
	{Version: "4.0", Frozen: time.Date(2025, 4, 8, 0, 0, 0, 0, time.UTC)},
	{Version: "5.0", Frozen: time.Date(2025, 9, 10, 0, 0, 0, 0, time.UTC)},
}

// FlowVersionOf returns what Meta says of a version of the Flow JSON: no dates where it says nothing.
func FlowVersionOf(version string) FlowVersion {
	for _, v := range flowVersions {
		if v.Version == version {
			return v
		}
	}
	return FlowVersion{Version: version}
}

// FlowVersionForm is how Meta writes a version of the Flow JSON, as a regular expression.
const FlowVersionForm = `[1-9][0-9]{0,2}\.[0-9]{1,3}`

var (
	versionSaid = regexp.MustCompile(`(?i)\bversion:?\s+v?(` + FlowVersionForm + `)\b`)
	daysSaid    = regexp.MustCompile(`(?i)\b(freeze|expire)s?\s+in\s+([0-9]{1,3})\s+days?\b`)
)

// versionSaidIn returns the version that Meta's warning names; "" where it names none, or several.
func versionSaidIn(warning string) (version string) {
	for _, m := range versionSaid.FindAllStringSubmatch(warning, -1) {
		if version != "" && version != m[1] {
			return ""
		}
		version = m[1]
	}
	return version
}

// daysSaidIn returns in how many days the version freezes or expires by Meta's warning, as "Your current Flow version
// will freeze in 21 days"; ok is false where it does not say so.
func daysSaidIn(warning, verb string) (days int, ok bool) {
	for _, m := range daysSaid.FindAllStringSubmatch(warning, -1) {
		if len(m[1]) == len(verb) && (m[1][0]|0x20) == verb[0] {
			n, err := strconv.Atoi(m[2])
			return n, err == nil
		}
	}
	return 0, false
}

const day = 24 * time.Hour

// FlowVersion returns the version of the Flow JSON that an expiry warning is about; "" where it does not say so.
func (e *Event) FlowVersion() string { return versionSaidIn(e.Warning) }

// HourOfEnd is the hour, in UTC, from which on a version has expired on its day. Meta names days and no hours, and the
// steps before should wake nobody at night for nothing.
const HourOfEnd = 12 * time.Hour

// SaidEnd returns when the version expires by the warning's own words; zero where they do not say so.
func (e *Event) SaidEnd() time.Time {
	if days, ok := daysSaidIn(e.Warning, "expire"); ok && !e.At.IsZero() {
		return e.At.UTC().Truncate(day).Add(time.Duration(days)*day + HourOfEnd)
	}
	return time.Time{}
}

// saidFreeze returns when the version freezes by the warning's own words; zero where they do not say so.
func (e *Event) saidFreeze() time.Time {
	if days, ok := daysSaidIn(e.Warning, "freeze"); ok && !e.At.IsZero() {
		return e.At.Add(time.Duration(days) * day)
	}
	return time.Time{}
}
