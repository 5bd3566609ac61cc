package router

import "time"

// Names of Meta's events, as Meta writes them. What is known of each stands in its row below.
const (
	FlowStatusChange         = "FLOW_STATUS_CHANGE"
	ClientErrorRate          = "CLIENT_ERROR_RATE"
	EndpointErrorRate        = "ENDPOINT_ERROR_RATE"
	EndpointLatency          = "ENDPOINT_LATENCY"
	EndpointAvailability     = "ENDPOINT_AVAILABILITY"
	FlowVersionExpiryWarning = "FLOW_VERSION_EXPIRY_WARNING"
	FlowResponse             = "FLOW_RESPONSE" // our name for an nfm_reply message
)

// Statuses of a flow: words of FlowStatusChange.
const (
	Draft      = "DRAFT"
	Published  = "PUBLISHED"
	Deprecated = "DEPRECATED"
	Throttled  = "THROTTLED"
	Blocked    = "BLOCKED"
)

const (
	flowHealth    = "https://developers.facebook.com/docs/whatsapp/flows/guides/healthmonitoring"
	flowWebhooks  = "https://developers.facebook.com/docs/whatsapp/flows/reference/flowswebhooks"
	flowChangelog = "https://developers.facebook.com/docs/whatsapp/flows/changelogs"
)

// rateLevels are the thresholds of error rates. Source: Meta, "Flows webhooks".
var rateLevels = []SignalLevel{
	{Threshold: 5, Severity: Warning}, {Threshold: 10, Severity: Error}, {Threshold: 50, Severity: Critical},
}

var flowSignals = []Signal{
	{
		Name: FlowStatusChange, Field: FlowsField, Subject: SubjectFlow,
		Levels: []SignalLevel{
			{Word: Throttled, Severity: Error, Meaning: "At most 10 new sends an hour; flows already sent still open."},
			{Word: Blocked, Severity: Critical, Meaning: "The flow can neither be sent nor opened."},
		},
		Ends: []SignalLevel{
			{Word: Draft}, {Word: Published, Renews: RenewsUnlessBack},
			{Word: Deprecated, Renews: RenewsAlways, Meaning: "The flow was retired by its owner and cannot be sent any more."},
		},
		AnyEnds: true,
		Title:   "Flow status", Now: "is", Over: "no longer", Trouble: "restricted by Meta",
		Impact: "Meta limits how often the flow is sent, or whether it opens at all.",
		Help:   "Mend what the endpoint's alerts say: a flow that has recovered comes back by itself.",
		Link:   flowHealth,
	},
	{
		Name: ClientErrorRate, Field: FlowsField, Subject: SubjectFlow,
		Levels: rateLevels, Unit: Percent, Bad: Above, Window: 60 * time.Minute, Reading: "error_rate", Errors: true,
		Unheard: 2 * time.Hour,
		Title:   "Client error rate", Measure: "error rates", Now: "over", Over: "back under",
		Impact: "Some people see an error in the flow on their phone, and cannot finish it.",
		Help:   "Mend what the most frequent error types say.", Link: flowHealth,
	},
	{
		Name: EndpointErrorRate, Field: FlowsField, Subject: SubjectFlow,
		Levels: rateLevels, Unit: Percent, Bad: Above, Window: 30 * time.Minute, Reading: "error_rate", Errors: true,
		Unheard: 2 * time.Hour, Endpoint: "%s of requests fail",
		Title: "Endpoint error rate", Measure: "error rates", Now: "over", Over: "back under",
		Impact: "Some people cannot get past a screen, since the endpoint's answer failed.",
		Help:   "Mend what the most frequent error types say.", Link: flowHealth,
	},
	{
		Name: EndpointLatency, Field: FlowsField, Subject: SubjectFlow, // the slowest tenth: p90
		Levels: []SignalLevel{
			{Threshold: 1000, Severity: Warning}, {Threshold: 5000, Severity: Error},
			{Threshold: 7000, Severity: Critical},
		},
		Unit: Millis, Bad: Above, Window: 30 * time.Minute, Reading: "p90_latency",
		Unheard: 2 * time.Hour, Endpoint: "p90 %s",
		Title: "Endpoint latency (p90)", Measure: "latency", Now: "over", Over: "back under",
		Impact: "People wait between screens; after 10 s they see an error.",
		Help:   "Answer in less than a second.", Link: flowHealth,
	},
	{
		Name: EndpointAvailability, Field: FlowsField, Subject: SubjectFlow,
		Levels: []SignalLevel{{Threshold: 90, Severity: Critical}},
		Unit:   Percent, Bad: Below, Window: 10 * time.Minute, Reading: "availability",
		Unheard: 30 * time.Minute, Endpoint: "%s available",
		Title: "Endpoint availability", Measure: "availability", Now: "below", Over: "back over",
		Impact: "People cannot use the screens that ask the endpoint.",
		Help:   "See that the endpoint can be reached from the internet and answers health checks.", Link: flowHealth,
	},
	{
		Name: FlowVersionExpiryWarning, Field: FlowsField, Subject: SubjectFlow,
		Levels: []SignalLevel{
			{Threshold: 21, Severity: Info}, {Threshold: 14, Severity: Info}, {Threshold: 7, Severity: Warning},
			{Threshold: 3, Severity: Error}, {Threshold: 1, Severity: Critical}, {Threshold: 0, Severity: Critical},
		},
		Unit: Days, Bad: Below, Counts: true,
		Title: "Flow version expiry", Now: "within", Over: "no longer within", Bare: "announced", BareOver: "called off",
		Impact: "Once its version has expired, the flow can neither be sent nor opened.",
		Help: "Publish the flow with a newer version. A clone has an id of its own: once it has taken over, " +
			"resolve this by hand.", Link: flowChangelog,
	},
	{
		Name: FlowResponse, Field: MessagesField, Subject: SubjectAccount, // a form names no flow
		Personal: true, Title: "Flow response", Told: "A form came in",
		Impact: "Somebody has filled in a form and expects an answer.",
		Help:   "Answer it where you answer messages.", Link: flowWebhooks,
	},
}

// Statuses returns the words that are known for a flow's status, those first that open nothing.
func Statuses() []string { return signalOf(FlowStatusChange).Words() }

// IsPublished says whether a flow's status is the one in which nothing is wrong.
func IsPublished(status string) bool { return status == Published }

// Standing says where a flow's status stands among those that are trouble: "" for one that is none; ok is false for a
// word that we do not know, which says nothing.
func Standing(status string) (level Level, ok bool) {
	switch s := signalOf(FlowStatusChange); {
	case s.place(Level(status)) >= 0:
		return Level(status), true
	default:
		return "", s.ends(status)
	}
}

// StatusMeaning says what a flow's status means for the people who use the flow; "" where it means nothing bad.
func StatusMeaning(status string) string { return LevelMeaning(FlowStatusChange, Level(status)) }
