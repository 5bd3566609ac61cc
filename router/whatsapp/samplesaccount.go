package whatsapp

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
)

// What the samples of account fields are about.
const (
	sampleBusiness  = "104996122399161"
	samplePhone     = "15550100100"
	sampleAnnounced = 7 * 24 * time.Hour // from an announcement to what it announces
	samplePause     = 6 * time.Hour
)

// accountSample is how a field of the account is sampled: by a word of Meta's, as rules know it by `change`.
type accountSample struct {
	usual string // the change of a sample that names none; "" where the field has no words
	value func(s Sample) map[string]any
}

// accountAlerts is the event of an account that has no word for its end: a status beside its word says that.
const accountAlerts = "ACCOUNT_ALERTS"

// TakesState says whether Sample.AlertState changes anything of an event's sample.
func TakesState(event string) bool {
	_, pair := usualThresholds[event]
	return pair || event == accountAlerts
}

// accountSamples are by the name of their event. Every word that router.KnownChanges knows has a sample.
var accountSamples = map[string]accountSample{
	router.AccountUpdate: {"DISABLE", Sample.accountUpdate},
	"ACCOUNT_REVIEW_UPDATE": {"REJECTED", func(s Sample) map[string]any {
		return map[string]any{"decision": s.Change}
	}},
	accountAlerts:                 {"INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED", Sample.accountAlert},
	"PHONE_NUMBER_QUALITY_UPDATE": {"FLAGGED", Sample.phoneQuality},
	"PHONE_NUMBER_NAME_UPDATE": {"REJECTED", func(s Sample) map[string]any {
		v := map[string]any{"display_phone_number": samplePhone, "decision": s.Change,
			"requested_verified_name": "Example Shop"}
		if s.Change == "REJECTED" {
			v["rejection_reason"] = "NAME_NOT_CLEAR"
		}
		return v
	}},
	"SECURITY": {"PIN_RESET_REQUEST", func(s Sample) map[string]any {
		return map[string]any{"display_phone_number": samplePhone, "event": s.Change, "requester": "61555000000001"}
	}},
	"MESSAGE_TEMPLATE_STATUS_UPDATE":  {"PAUSED", Sample.templateStatus},
	"MESSAGE_TEMPLATE_QUALITY_UPDATE": {"RED", Sample.templateQuality},
	"TEMPLATE_CATEGORY_UPDATE": {"MARKETING", func(s Sample) map[string]any {
		v := template()
		v["new_category"], v["correct_category"] = "UTILITY", s.Change
		v["category_update_timestamp"] = s.Time.Add(sampleAnnounced).Unix()
		return v
	}},
	"MESSAGE_TEMPLATE_COMPONENTS_UPDATE": {"", func(Sample) map[string]any {
		v := template()
		v["message_template_element"] = "Your order is ready."
		return v
	}},
	"BUSINESS_CAPABILITY_UPDATE": {"", func(Sample) map[string]any {
		return map[string]any{"max_daily_conversations_per_business": "TIER_10K", "max_phone_numbers_per_business": 25}
	}},
	"ACCOUNT_SETTINGS_UPDATE": {"", func(s Sample) map[string]any {
		return map[string]any{"type": "phone_number_settings", "timestamp": s.Time.Unix()}
	}},
	"PARTNER_SOLUTIONS": {"", func(Sample) map[string]any {
		return map[string]any{"event": "SOLUTION_UPDATED", "solution_id": "774485461512159", "solution_status": "ACTIVE"}
	}},
	"PAYMENT_CONFIGURATION_UPDATE": {"Needs Testing", func(s Sample) map[string]any {
		return map[string]any{"configuration_name": "web-shop", "provider_name": "razorpay",
			"provider_mid": "example-merchant", "status": s.Change,
			"created_timestamp": s.Time.Add(-time.Hour).Unix(), "updated_timestamp": s.Time.Unix()}
	}},
}

// Changes returns the words that Sample.Change can be of an event, sorted; none where it has no words.
func Changes(event string) []string {
	if a, ok := accountSamples[event]; !ok || a.usual == "" {
		return nil
	}
	return router.KnownChanges(event)
}

// about puts the number or the template that is asked for in the place of the usual one.
func (s Sample) about(value map[string]any) {
	if _, ok := value["display_phone_number"]; ok && s.Phone != "" {
		value["display_phone_number"] = s.Phone
	}
	if _, ok := value["message_template_name"]; !ok || s.Template == "" {
		return
	}
	delete(value, "message_template_id") // it belongs to the usual one
	if strings.Trim(s.Template, "0123456789") == "" {
		value["message_template_id"] = json.Number(s.Template)
		delete(value, "message_template_name")
		return
	}
	name, language, named := strings.Cut(strings.TrimSuffix(s.Template, ")"), " (")
	if value["message_template_name"] = name; named {
		value["message_template_language"] = language
	}
}

func (s Sample) accountUpdate() map[string]any {
	switch {
	case slices.Contains([]string{"SCHEDULE_FOR_DISABLE", "DISABLE", "REINSTATE"}, s.Change):
		date := s.Time
		if s.Change == "SCHEDULE_FOR_DISABLE" {
			date = date.Add(sampleAnnounced)
		}
		return map[string]any{"event": "DISABLED_UPDATE", "ban_info": map[string]any{
			"waba_ban_state": s.Change, "waba_ban_date": date.UTC().Format("January 2, 2006"),
		}}
	case strings.HasPrefix(s.Change, "RESTRICTED_"):
		return map[string]any{"event": router.AccountRestriction, "restriction_info": []any{map[string]any{
			"restriction_type": s.Change, "expiration": s.Time.Add(sampleAnnounced).Unix(),
			"remediation": "Look at your templates again, and write only to people who asked for it.",
		}}}
	case s.Change == router.AccountViolation:
		return map[string]any{"event": s.Change, "violation_info": map[string]any{"violation_type": "SCAM"}}
	case strings.HasPrefix(s.Change, "PARTNER_"):
		return map[string]any{"event": s.Change, "waba_info": map[string]any{
			"waba_id": s.WABA, "owner_business_id": "104996122399162",
		}}
	case s.Change == "VOLUME_BASED_PRICING_TIER_UPDATE":
		return map[string]any{"event": s.Change, "volume_tier_info": map[string]any{
			"tier": "10000001:25000000", "pricing_category": "UTILITY", "region": "United Kingdom",
			"effective_month": s.Time.UTC().Format("2006-01"), "tier_update_time": s.Time.Unix(),
		}}
	}
	return map[string]any{"event": s.Change}
}

// accountAlert ends with the AlertState router.Deactivated: an alert has no word for its end.
func (s Sample) accountAlert() map[string]any {
	status := "ACTIVE"
	if s.AlertState == router.Deactivated {
		status = "NONE"
	}
	return map[string]any{"entity_type": "BUSINESS", "entity_id": sampleBusiness, "alert_info": map[string]any{
		"alert_type": s.Change, "alert_status": status, "alert_severity": "WARNING",
		"alert_description": "Follow the policies, and have more messages delivered.",
	}}
}

func (s Sample) phoneQuality() map[string]any {
	limit := "TIER_1K"
	switch s.Change {
	case "UPGRADE":
		limit = "TIER_10K"
	case "THROUGHPUT_UPGRADE":
		limit = "TIER_UNLIMITED"
	}
	return map[string]any{"display_phone_number": samplePhone, "event": s.Change,
		"max_daily_conversations_per_business": limit}
}

// template is what the fields about a template have in common.
func template() map[string]any {
	return map[string]any{"message_template_id": 594425479261596, "message_template_name": "order_is_ready",
		"message_template_language": "en_GB"}
}

func (s Sample) templateStatus() map[string]any {
	v := template()
	v["event"], v["reason"], v["message_template_category"] = s.Change, "NONE", "UTILITY"
	switch s.Change {
	case "PAUSED":
		until := s.Time.Add(samplePause).UTC().Format("Jan 2 at 3:04 PM")
		v["other_info"] = map[string]any{"title": "SECOND_PAUSE",
			"description": "This template is paused for 6 hours until " + until + " UTC because people went on to report it."}
	case unpaused:
		v["event"] = "APPROVED"
		v["other_info"] = map[string]any{"title": unpaused, "description": "Your template has been unpaused."}
	case "DISABLED":
		v["disable_info"] = map[string]any{"disable_date": s.Time.Unix()}
	case "REJECTED":
		v["reason"] = "INVALID_FORMAT"
		v["rejection_info"] = map[string]any{"reason": "Two variables stand next to each other.",
			"recommendation": "Write some words between the variables."}
	}
	return v
}

func (s Sample) templateQuality() map[string]any {
	v := template()
	v["previous_quality_score"], v["new_quality_score"] = "GREEN", s.Change
	if s.Change == "GREEN" {
		v["previous_quality_score"] = "RED"
	}
	return v
}
