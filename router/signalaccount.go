package router

// Keys of signals that share the name of their event with others. What tells them apart is known to the decoder.
const (
	AccountBan          = "ACCOUNT_BAN"
	AccountRestriction  = "ACCOUNT_RESTRICTION"
	AccountViolation    = "ACCOUNT_VIOLATION"
	AccountConnection   = "ACCOUNT_CONNECTION"
	AccountUpdate       = "ACCOUNT_UPDATE" // whatever else comes under that name
	PhoneMessagingLimit = "PHONE_MESSAGING_LIMIT"
)

const (
	// BusinessSupport is where reviews are requested: of a ban, a restriction, a violation.
	BusinessSupport = "https://business.facebook.com/business-support-home"

	templateManager = "https://business.facebook.com/wa/manage/message-templates/"
	phoneManager    = "https://business.facebook.com/wa/manage/phone-numbers/"
	businessInfo    = "https://business.facebook.com/settings/info"
	peopleSettings  = "https://business.facebook.com/settings/people"
	fieldReference  = "https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/"
)

// accountSignals are those of the account itself, its numbers, its templates and its business: rows like all others,
// moved by Event.Change. Source of words and of what they mean: Meta, "Webhooks reference", a page for each field.
var accountSignals = []Signal{
	{
		// Change is ban_info.waba_ban_state.
		Name: AccountBan, Event: AccountUpdate, Field: "account_update", Subject: SubjectAccount,
		Levels: []SignalLevel{
			{Word: "SCHEDULE_FOR_DISABLE", Severity: Error, Text: "will be disabled",
				Meaning: "Meta will disable the account on the date of the ban: from then on nothing can be sent."},
			{Word: "DISABLE", Severity: Critical, Text: "account disabled",
				Meaning: "Meta has disabled the account: nothing can be sent, and no flow can be opened."},
		},
		Ends:  []SignalLevel{{Word: "REINSTATE", Text: "account reinstated"}},
		News:  []SignalLevel{{Word: "DISABLED_UPDATE", Severity: Error, Text: "ban changed, without saying how"}},
		Title: "Account ban", Now: "is", Over: "no longer", Trouble: "banned by Meta",
		Impact: "A disabled account can neither send nor receive: every flow of it is out of reach.",
		Help:   "Request a review in Business Support Home, within 90 days.", Link: BusinessSupport,
	},
	{
		// Change is the restriction_type: each begins and ends by itself, at its expiration.
		Name: AccountRestriction, Event: AccountUpdate, Field: "account_update", Subject: SubjectAccount,
		Levels: []SignalLevel{
			{Word: "RESTRICTED_ADD_PHONE_NUMBER_ACTION", Text: "cannot add phone numbers",
				Meaning: "The account can add no phone numbers; those that it has go on."},
			{Word: "RESTRICTED_BIZ_INITIATED_MESSAGING", Text: "cannot start conversations",
				Meaning: "The account cannot start conversations: no template, and no flow in one, reaches anybody who has not " +
					"written first."},
			{Word: "RESTRICTED_CUSTOMER_INITIATED_MESSAGING", Text: "cannot answer customers",
				Meaning: "The account cannot answer people who write to it."},
		},
		AnyLevel: true, Apart: true, Severity: Error,
		News:  []SignalLevel{{Word: "ACCOUNT_RESTRICTION", Severity: Error, Text: "restricted, without saying how"}},
		Title: "Account restriction", Now: "is", Over: "no longer", Trouble: "restricted by Meta",
		Impact: "For some time the account cannot do what the restriction names.",
		Help:   "Do as Meta says, and request a review in Business Support Home, within 90 days.",
		Link:   BusinessSupport,
	},
	{
		// Change is ACCOUNT_VIOLATION, so that a rule can ask for any; which it is stands among the facts.
		Name: AccountViolation, Event: AccountUpdate, Field: "account_update", Subject: SubjectAccount,
		News: []SignalLevel{{Word: "ACCOUNT_VIOLATION", Severity: Error, Text: "violated a policy",
			Meaning: "Meta holds that the account has violated a policy: restrictions or a ban may follow."}},
		Title:  "Account violation",
		Impact: "Restrictions or a ban may follow.",
		Help:   "Look at the violation in Business Support Home; an appeal is possible for 90 days.",
		Link:   BusinessSupport,
	},
	{
		// Change is Meta's event. Any word that ends says that posts arrive again, whatever had ended them.
		Name: AccountConnection, Event: AccountUpdate, Field: "account_update", Subject: SubjectAccount,
		Levels: []SignalLevel{
			{Word: "PARTNER_APP_UNINSTALLED", Severity: Error, Text: "app uninstalled",
				Meaning: "The account has removed the app: nothing more will arrive for it."},
			{Word: "PARTNER_REMOVED", Severity: Error, Text: "partner removed",
				Meaning: "The account has removed the partner: nothing more will arrive for it."},
			{Word: "ACCOUNT_OFFBOARDED", Severity: Critical, Text: "account offboarded",
				Meaning: "The account has left the Cloud API: nothing can be sent, and nothing more will arrive for it."},
		},
		Ends: []SignalLevel{
			{Word: "ACCOUNT_RECONNECTED", Text: "account reconnected"}, {Word: "PARTNER_ADDED",
				Text: "partner added"},
			{Word: "PARTNER_APP_INSTALLED", Text: "app installed"},
		},
		Apart: true,
		Title: "Account connection", Now: "is", Over: "no longer", Trouble: "disconnected",
		Impact: "Nothing more arrives for the account: trouble of its flows is not seen here.",
		Help:   "Ask the owner of the account whether that was meant, and have it connected again.",
		Link:   fieldReference + "account_update",
	},
	{
		// Change is Meta's event.
		Name: AccountUpdate, Field: "account_update", Subject: SubjectAccount,
		News: []SignalLevel{
			{Word: "ACCOUNT_DELETED", Severity: Critical, Text: "account deleted",
				Meaning: "The account is gone, with its numbers, templates and flows."},
			{Word: "AD_ACCOUNT_LINKED", Text: "ad account linked"},
			{Word: "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE", Text: "prices of international authentication change"},
			{Word: "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE", Text: "primary country of the business set"},
			{Word: "MM_LITE_TERMS_SIGNED", Text: "terms of Marketing Messages signed"},
			{Word: "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE", Text: "certification of the client changed"},
			{Word: "VERIFIED_ACCOUNT", Text: "account verified"},
			{Word: "VOLUME_BASED_PRICING_TIER_UPDATE", Text: "new pricing tier"},
		},
		Title:  "Account update",
		Impact: "Something about the account has changed.",
		Help:   "See whether somebody of yours expects it.", Link: fieldReference + "account_update",
	},
	{
		// Change is the decision.
		Name: "ACCOUNT_REVIEW_UPDATE", Field: "account_review_update", Subject: SubjectAccount,
		Levels: []SignalLevel{{Word: "REJECTED", Severity: Critical, Text: "rejected",
			Meaning: "Meta has rejected the account: it cannot be used with the API."}},
		Ends:  []SignalLevel{{Word: "APPROVED", Text: "approved"}},
		News:  []SignalLevel{{Word: "PENDING", Text: "pending"}, {Word: "DEFERRED", Text: "deferred"}},
		Title: "Account review", Now: "is", Over: "no longer", Trouble: "rejected by Meta",
		Impact: "A rejected account cannot be used with the API: none of its flows can be sent.",
		Help:   "Request a review in Business Support Home, within 90 days.", Link: BusinessSupport,
	},
	{
		// Change is the alert_type, each an incident of its own; Meta's alert_severity says how bad it is.
		Name: "ACCOUNT_ALERTS", Field: "account_alerts", Subject: SubjectEntity,
		Levels: []SignalLevel{
			{Word: "INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED", Text: "higher limits deferred",
				Meaning: "Meta does not raise the limits for now.",
				Help:    "Keep sending messages that people want; Meta looks again by itself."},
			{Word: "INCREASED_CAPABILITIES_ELIGIBILITY_FAILED", Text: "higher limits refused",
				Meaning: "Meta does not raise the limits.",
				Help:    "Have 2,000 messages delivered within 30 days, with templates of high quality, or verify the business."},
			{Word: "INCREASED_CAPABILITIES_ELIGIBILITY_NEED_MORE_INFO",
				Text:    "more information needed for higher limits",
				Meaning: "Meta raises the limits only once it knows more of the business.",
				Help:    "Verify the business in its settings."},
			{Word: "OBA_APPROVED", Text: "official business account approved"},
			{Word: "OBA_REJECTED", Text: "official business account rejected",
				Help: "Meta takes another request after 30 days."},
			{Word: "PROFILE_PICTURE_LOST", Text: "profile picture lost", Help: "Upload the profile picture anew."},
		},
		AnyLevel: true, Apart: true, OwnIncident: true, Severity: Warning,
		Title: "Account alert", Now: "reports", Over: "no longer reports",
		Impact: "Meta wants something of the business, and may hold limits or features back until then.",
		Help:   "Do as the alert says.", Link: businessInfo,
	},
	{
		// Change is Meta's event.
		Name: "PHONE_NUMBER_QUALITY_UPDATE", Field: "phone_number_quality_update", Subject: SubjectPhone,
		Levels: []SignalLevel{{Word: "FLAGGED", Severity: Error, Text: "flagged for low quality",
			Meaning: "People block or report messages of the number: unless that gets better within 7 days, Meta may lower " +
				"its limit."}},
		Ends: []SignalLevel{{Word: "UNFLAGGED", Text: "no longer flagged"}},
		News: []SignalLevel{{Word: "ONBOARDING", Text: "onboarded"}, {Word: "THROUGHPUT_UPGRADE",
			Text: "higher throughput"}},
		Title: "Phone number quality", Now: "is", Over: "no longer", Trouble: "flagged for low quality",
		Impact: "Fewer people can be reached if Meta lowers the number's limit.",
		Help:   "Stop the templates that people block or report, and send to those who asked for messages only.",
		Link:   phoneManager,
	},
	{
		// Change is Meta's event: the limit moves by itself, whether or not the number is flagged.
		Name: PhoneMessagingLimit, Event: "PHONE_NUMBER_QUALITY_UPDATE", Field: "phone_number_quality_update",
		Subject: SubjectPhone,
		Levels: []SignalLevel{{Word: "DOWNGRADE", Severity: Warning, Text: "limit lowered",
			Meaning: "The number may start fewer conversations a day than before."}},
		Ends:  []SignalLevel{{Word: "UPGRADE", Text: "limit raised"}},
		Title: "Messaging limit", Now: "is", Over: "no longer", Trouble: "messaging limit lowered",
		Impact: "Beyond the limit nobody more is reached within 24 hours.",
		Help:   "Raise the quality of messages: the limit rises by itself where it is used and quality is good.",
		Link:   phoneManager,
	},
	{
		// Change is the decision.
		Name: "PHONE_NUMBER_NAME_UPDATE", Field: "phone_number_name_update", Subject: SubjectPhone,
		Levels: []SignalLevel{{Word: "REJECTED", Severity: Warning, Text: "display name rejected",
			Meaning: "People go on to see the old name of the number, or none."}},
		Ends:  []SignalLevel{{Word: "APPROVED", Text: "display name approved"}},
		News:  []SignalLevel{{Word: "DEFERRED", Text: "deferred"}, {Word: "PENDING", Text: "pending"}},
		Title: "Display name", Now: "is", Over: "no longer", Trouble: "display name rejected",
		Impact: "People do not see the requested name.",
		Help:   "Request a name that keeps to Meta's guidelines for display names.", Link: phoneManager,
	},
	{
		// Change is Meta's event.
		Name: "SECURITY", Field: "security", Subject: SubjectPhone,
		News: []SignalLevel{
			{Word: "PIN_CHANGED", Severity: Critical, Text: "PIN of two-step verification changed",
				Meaning: "Somebody has changed the PIN of the number: an admin of yours, or an intruder."},
			{Word: "PIN_RESET_REQUEST", Severity: Critical, Text: "two-step verification is to be switched off",
				Meaning: "Somebody wants to switch off two-step verification of the number: an admin of yours, or an intruder."},
			{Word: "PIN_RESET_SUCCESS", Severity: Critical, Text: "two-step verification switched off",
				Meaning: "Two-step verification of the number is off: who knows its code can take the number over."},
		},
		Title:  "Security",
		Impact: "Who has the number's PIN can move the number to an account of their own.",
		Help:   "If nobody of yours asked for it, look at who is admin of the business, and set a new PIN.",
		Link:   peopleSettings,
	},
	{
		// Change is Meta's event, or UNPAUSE of other_info.title where the event only says APPROVED.
		Name: "MESSAGE_TEMPLATE_STATUS_UPDATE", Field: "message_template_status_update", Subject: SubjectTemplate,
		Levels: []SignalLevel{
			{Word: "FLAGGED", Severity: Warning, Text: "flagged",
				Meaning: "People block or report the template: it will be paused, then disabled."},
			{Word: "PAUSED", Severity: Warning, Text: "paused",
				Meaning: "The template cannot be sent until its pause is over.",
				Help:    "It returns by itself when the pause is over; before that, edit it and submit it again."},
			{Word: "DISABLED", Severity: Error, Text: "disabled", Meaning: "The template cannot be sent any more.",
				Help: "Appeal in Business Support Home, or send another template."},
		},
		Ends: []SignalLevel{
			{Word: "APPROVED", Text: "approved"}, {Word: "REINSTATED", Text: "reinstated"}, {Word: "UNPAUSE",
				Text: "no longer paused"},
			{Word: "UNPAUSED", Text: "no longer paused"}, {Word: "UNFLAGGED", Text: "no longer flagged"},
			{Word: "PENDING_DELETION", Text: "to be deleted"}, {Word: "DELETED", Text: "deleted"},
		},
		News: []SignalLevel{
			{Word: "REJECTED", Severity: Warning, Text: "rejected",
				Meaning: "The template cannot be sent as it was submitted.",
				Help:    "Edit the template as Meta recommends and submit it again, or appeal."},
			{Word: "ARCHIVED", Text: "archived"}, {Word: "IN_APPEAL", Text: "in appeal"}, {Word: "LIMIT_EXCEEDED",
				Text: "limit of templates reached"},
			{Word: "LOCKED", Text: "locked"}, {Word: "PENDING", Text: "in review"}, {Word: "UNARCHIVED",
				Text: "no longer archived"},
		},
		Title: "Template status", Now: "is", Over: "no longer", Trouble: "restricted by Meta",
		Impact: "What the template carries, and a flow in it, reaches nobody while it cannot be sent.",
		Help:   "Edit the template so that fewer people block it, and submit it again.", Link: templateManager,
	},
	{
		// Change is new_quality_score.
		Name: "MESSAGE_TEMPLATE_QUALITY_UPDATE", Field: "message_template_quality_update", Subject: SubjectTemplate,
		Levels: []SignalLevel{
			{Word: "YELLOW", Severity: Info, Text: "medium quality"},
			{Word: "RED", Severity: Warning, Text: "low quality",
				Meaning: "People block or report the template: it will be paused, then disabled."},
		},
		Ends:  []SignalLevel{{Word: "GREEN", Text: "high quality"}},
		News:  []SignalLevel{{Word: "UNKNOWN", Text: "quality not known yet"}},
		Title: "Template quality", Now: "is", Over: "no longer", Trouble: "low quality",
		Impact: "A template of low quality is paused for hours, then disabled.",
		Help:   "Edit the template, or send it to those who asked for it only.", Link: templateManager,
	},
	{
		// Change is the category that is right: correct_category, or new_category where that is in force.
		Name: "TEMPLATE_CATEGORY_UPDATE", Field: "template_category_update", Subject: SubjectTemplate,
		News: []SignalLevel{
			{Word: "AUTHENTICATION", Severity: Warning, Text: "becomes authentication"},
			{Word: "MARKETING", Severity: Warning, Text: "becomes marketing",
				Meaning: "Messages of the template cost as much as marketing from then on, and people who opted out get none."},
			{Word: "UTILITY", Severity: Warning, Text: "becomes utility"},
		},
		Severity: Warning,
		Title:    "Template category",
		Impact:   "Messages of the template have another price from the date on.",
		Help:     "Edit the template if it is not what the category says, or request a review.",
		Link:     templateManager,
	},
	{
		Name: "MESSAGE_TEMPLATE_COMPONENTS_UPDATE", Field: "message_template_components_update",
		Subject: SubjectTemplate,
		Title:   "Template content",
		Impact:  "The template reads otherwise than before.",
		Help:    "See whether somebody of yours has edited it.", Link: templateManager,
	},
	{
		Name: "BUSINESS_CAPABILITY_UPDATE", Field: "business_capability_update", Subject: SubjectAccount,
		Title:  "Business limits",
		Impact: "The account may reach another number of people a day, or have another number of phone numbers.",
		Help:   "See whether the limits still do for what you send.",
		Link:   fieldReference + "business_capability_update",
	},
	{
		Name: "ACCOUNT_SETTINGS_UPDATE", Field: "account_settings_update", Subject: SubjectAccount,
		Title:  "Account settings",
		Impact: "A setting of the account has changed.",
		Help:   "See whether somebody of yours has changed it.", Link: fieldReference + "account_settings_update",
	},
	{
		Name: "PARTNER_SOLUTIONS", Field: "partner_solutions", Subject: SubjectAccount,
		Title:  "Partner solution",
		Impact: "A multi-partner solution that shares the account has changed.",
		Help:   "See whether it is what was agreed with the partner.", Link: fieldReference + "partner_solutions",
	},
	{
		// Change is the status.
		Name: "PAYMENT_CONFIGURATION_UPDATE", Field: "payment_configuration_update", Subject: SubjectPayment,
		Levels: []SignalLevel{
			{Word: "Needs Connecting", Text: "needs connecting",
				Meaning: "Nobody can pay by the configuration until it is connected."},
			{Word: "Needs Testing", Text: "needs testing",
				Meaning: "Nobody can pay by the configuration until it is tested."},
		},
		Ends:     []SignalLevel{{Word: "Active", Text: "active"}},
		AnyLevel: true, Apart: true, Replaces: true, Severity: Warning,
		Title: "Payment configuration", Now: "is", Over: "no longer",
		Impact: "Nobody can pay by the configuration until it is active.",
		Help:   "Complete the configuration with the payment provider.",
		Link:   fieldReference + "payment_configuration_update",
	},
}
