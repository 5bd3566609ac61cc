package router

import "strings"

// Changes are the words that Meta is known to use for what happened under a field of an account: Event.Change. There may
// be others.
type Changes struct {
	Subject SubjectKind // what they happen to
	Opens   []string    // trouble that stays until a word of Ends
	Ends    []string    // good news
	News    []string    // told once
	// Any says that Meta's words are open: one that does not stand here is no slip.
	Any bool
}

// Words returns all of them, those that open something first.
func (c *Changes) Words() (words []string) {
	words = append(words, c.Opens...)
	words = append(words, c.Ends...)
	return append(words, c.News...)
}

// changes are the words by field. Source: Meta, WhatsApp Business Platform, "Webhooks reference", a page for each field.
var changes = map[string]Changes{
	"account_alerts": {Subject: SubjectEntity, Opens: []string{"ACTIVE"}, Ends: []string{"NONE", "RESOLVED"}},
	"account_review_update": {
		Subject: SubjectAccount, Opens: []string{"REJECTED"}, Ends: []string{"APPROVED"}, News: []string{"PENDING", "DEFERRED"},
	},
	"account_settings_update": {Subject: SubjectAccount, Any: true},
	"account_update": {
		Subject: SubjectAccount,
		Opens: []string{
			"SCHEDULE_FOR_DISABLE", "DISABLE", "ACCOUNT_RESTRICTION", "RESTRICTED_ADD_PHONE_NUMBER_ACTION",
			"RESTRICTED_BIZ_INITIATED_MESSAGING", "RESTRICTED_CUSTOMER_INITIATED_MESSAGING", "ACCOUNT_OFFBOARDED",
			"PARTNER_REMOVED", "PARTNER_APP_UNINSTALLED",
		},
		Ends: []string{"REINSTATE", "ACCOUNT_RECONNECTED", "PARTNER_ADDED", "PARTNER_APP_INSTALLED"},
		News: []string{
			"ACCOUNT_VIOLATION", "ACCOUNT_DELETED", "VERIFIED_ACCOUNT", "VOLUME_BASED_PRICING_TIER_UPDATE",
			"AD_ACCOUNT_LINKED", "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE", "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE",
			"DISABLED_UPDATE", "MM_LITE_TERMS_SIGNED", "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE",
		},
	},
	"business_capability_update":         {Subject: SubjectAccount, Any: true},
	"message_template_components_update": {Subject: SubjectTemplate, Any: true},
	"message_template_quality_update": {
		Subject: SubjectTemplate, Opens: []string{"YELLOW", "RED"}, Ends: []string{"GREEN"}, News: []string{"UNKNOWN"},
	},
	"message_template_status_update": {
		Subject: SubjectTemplate, Opens: []string{"FLAGGED", "PAUSED", "DISABLED"},
		Ends: []string{"APPROVED", "REINSTATED", "UNPAUSE", "PENDING_DELETION", "DELETED"},
		News: []string{"REJECTED", "PENDING", "IN_APPEAL", "LIMIT_EXCEEDED", "ARCHIVED", "UNARCHIVED"},
	},
	"partner_solutions":            {Subject: SubjectAccount, Any: true},
	"payment_configuration_update": {Subject: SubjectPayment, Ends: []string{"Active"}, Any: true},
	"phone_number_name_update": {
		Subject: SubjectPhone, Opens: []string{"REJECTED"}, Ends: []string{"APPROVED"}, News: []string{"PENDING", "DEFERRED"},
	},
	"phone_number_quality_update": {
		Subject: SubjectPhone, Opens: []string{"FLAGGED", "DOWNGRADE"}, Ends: []string{"UNFLAGGED", "UPGRADE"},
		News: []string{"ONBOARDING", "THROUGHPUT_UPGRADE"},
	},
	"security": {Subject: SubjectPhone, News: []string{"PIN_RESET_REQUEST", "PIN_CHANGED", "PIN_RESET_SUCCESS"}},
	"template_category_update": {
		Subject: SubjectTemplate, News: []string{"AUTHENTICATION", "MARKETING", "UTILITY"},
	},
}

// ChangesOf returns the words of the field that an event is named like; ok is false for an event of flows, of the bridge
// itself, and for one that nobody knows.
func ChangesOf(event string) (c Changes, ok bool) {
	c, ok = changes[strings.ToLower(event)]
	return c, ok && strings.ToUpper(event) == event
}

// FieldsWithChanges returns the fields of an account whose words are known, in no order.
func FieldsWithChanges() (fields []string) {
	for field := range changes {
		fields = append(fields, field)
	}
	return fields
}
