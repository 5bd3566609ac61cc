package router

import "strings"

// Events of the bridge about itself that come as pairs: a watcher of the program appends them to the journal.
const (
	SourceSilent    = "BRIDGE_SOURCE_SILENT"
	BridgeDelay     = "BRIDGE_DELAY"
	BadSignatures   = "BRIDGE_BAD_SIGNATURES"
	SlowAnswers     = "BRIDGE_SLOW_ANSWERS"
	CertificateEnds = "BRIDGE_CERTIFICATE"
	BridgeStalled   = "BRIDGE_STALLED"
	StorageFull     = "BRIDGE_STORAGE_FULL"
	DrillFailed     = "BRIDGE_DRILL"
	WeeklyReport    = "BRIDGE_REPORT" // news, to whom `report` names
)

// Words by which they move: Event.Change.
const (
	SilentWord       = "SILENT"
	LateWord         = "LATE"
	RisingWord       = "RISING"
	AllRefusedWord   = "ALL_REFUSED"
	SlowWord         = "SLOW"
	EndsSoonWord     = "ENDS_SOON"
	EndsVerySoonWord = "ENDS_VERY_SOON"
	EndedWord        = "ENDED"
	FoldStallsWord   = "FOLD"
	LaneStallsWord   = "LANE"
	NearlyFullWord   = "NEARLY_FULL"
	FullWord         = "FULL"
	DrillFailedWord  = "FAILED"
	WellWord         = "WELL" // ends every level
)

// IsWatched says whether an event's name is that of trouble of the bridge's own that begins and ends: it goes to whom
// `watch` names, unless a rule names it.
func IsWatched(name string) bool {
	s := signalOf(name)
	return s.Subject == SubjectBridge && s.ByWord()
}

// Reporter names who says that a signal's trouble is there, or is over: Meta, or the bridge of itself.
func Reporter(event string) string {
	if signalOf(event).Subject == SubjectBridge {
		return "flowbridge"
	}
	return "Meta"
}

// DrillPrefix begins the flow ids of drills. Meta's ids are numbers, which begin with no 0.
const DrillPrefix = "000"

// IsDrill says whether a flow is that of a drill: who has the app secret can make one, and nobody else.
func IsDrill(flow string) bool {
	return len(flow) > len(DrillPrefix) && strings.HasPrefix(flow, DrillPrefix) && strings.Trim(flow, "0123456789") == ""
}

// DrillName stands in the place of the name of a drill's flow: in titles, on cards and pages, in timelines.
const DrillName = "DRILL"

// drillWords are the title and text of a drill's incident, of the title that a rule's template gives it.
func drillWords(title string) (string, string) {
	if title != "" && !strings.Contains(title, DrillName) {
		title = DrillName + ": " + title
	}
	return title, "This is a drill: nothing is wrong, and nothing has to be done."
}

func wellAgain(text string) []SignalLevel { return []SignalLevel{{Word: WellWord, Text: text}} }

// bridgeSignals are those of the bridge itself.
var bridgeSignals = []Signal{
	{Name: ParkedDelivery, Subject: SubjectBridge, Severity: Error, Title: "Delivery parked"},
	{Name: EventSetAside, Subject: SubjectBridge, Severity: Error, Title: "Event set aside"},
	// Mostly somebody's plan: it is to be seen, and need not wake anybody.
	{Name: EverythingSilenced, Subject: SubjectBridge, Severity: Warning, Title: "Everything is silenced"},
	{Name: TestMessage, Subject: SubjectBridge, Severity: Info, Title: "TEST message"},
	{Name: WeeklyReport, Subject: SubjectBridge, Severity: Info, Title: "Weekly report"},
	{
		Name: SourceSilent, Subject: SubjectBridge,
		Levels: []SignalLevel{{Word: SilentWord, Severity: Error, Text: "nothing comes from Meta"}},
		Ends:   wellAgain("posts come again"),
		Title:  "Silence of Meta", Now: "is", Over: "over:",
		Impact: "Trouble of the flows is perhaps not seen here: no post with a good signature has come for longer than " +
			"usual.",
		Help: "See in Meta's dashboard whether the webhook is still subscribed, and with flowbridge doctor whether the " +
			"address can be reached.",
	},
	{
		Name: BridgeDelay, Subject: SubjectBridge,
		Levels: []SignalLevel{{Word: LateWord, Severity: Warning, Text: "posts come late"}},
		Ends:   wellAgain("posts come in time again"),
		Title:  "Late posts", Now: "is", Over: "over:",
		Impact: "Alerts are told later than they happened: Meta's posts arrive more than ten minutes after the time that " +
			"they name.",
		Help: "See whether posts were refused before (Meta repeats them later and later), and whether the clock is right.",
	},
	{
		Name: BadSignatures, Subject: SubjectBridge,
		Levels: []SignalLevel{
			{Word: RisingWord, Severity: Warning, Text: "many posts with a bad signature"},
			{Word: AllRefusedWord, Severity: Error, Text: "every post has a bad signature",
				Meaning: "If they are Meta's, no alert gets through.",
				Help:    "Compare META_APP_SECRET with the app secret in Meta's dashboard."},
		},
		Ends:  wellAgain("few posts with a bad signature again"),
		Title: "Bad signatures", Now: "is", Over: "over:",
		Impact: "Posts are refused with 401: they are a stranger's, or the app secret was changed at Meta and not here.",
		Help: "If good posts come as well, it is a stranger, and nothing has to be done; else compare META_APP_SECRET " +
			"with the app secret in Meta's dashboard.",
	},
	{
		Name: SlowAnswers, Subject: SubjectBridge,
		Levels: []SignalLevel{{Word: SlowWord, Severity: Warning, Text: "answers to Meta take longer than a second"}},
		Ends:   wellAgain("answers to Meta are fast again"),
		Title:  "Slow answers", Now: "is", Over: "over:",
		Impact: "Meta asks for an answer within a second, and repeats what it holds for lost.",
		Help:   "See whether the disk or the database is slow, and whether the receiver behind (--forward) is.",
	},
	{
		Name: CertificateEnds, Subject: SubjectBridge,
		Levels: []SignalLevel{
			{Word: EndsSoonWord, Severity: Warning, Text: "certificate ends within 14 days"},
			{Word: EndsVerySoonWord, Severity: Error, Text: "certificate ends within 3 days"},
			{Word: EndedWord, Severity: Critical, Text: "certificate has ended",
				Meaning: "Whoever checks certificates, and Meta does, cannot reach the address any more."},
		},
		Ends:  wellAgain("certificate was renewed"),
		Title: "Certificate", Now: "is", Over: "over:",
		Impact: "When the certificate has ended, Meta's posts do not arrive any more.",
		Help:   "Renew it and replace the files: they are read anew by themselves.",
	},
	{
		Name: BridgeStalled, Subject: SubjectBridge,
		Levels: []SignalLevel{
			{Word: FoldStallsWord, Severity: Critical, Text: "events wait and are not folded",
				Meaning: "Nobody is told of anything new."},
			{Word: LaneStallsWord, Severity: Error, Text: "deliveries are due and are not tried",
				Meaning: "One notifier is told nothing new."},
		},
		Apart: true,
		Ends:  wellAgain("it gets on again"),
		Title: "Standstill", Now: "is", Over: "over:",
		Impact: "What comes in is stored, and is told late.",
		Help:   "See the log; what waits is worked off when it gets on. Start the process anew if it does not.",
	},
	{
		Name: StorageFull, Subject: SubjectBridge,
		Levels: []SignalLevel{
			{Word: NearlyFullWord, Severity: Error, Text: "the disk of the database is nearly full"},
			{Word: FullWord, Severity: Critical, Text: "the disk of the database is full",
				Meaning: "Posts can be stored no longer, and Meta is asked to repeat them."},
		},
		Ends:  wellAgain("there is room on the disk again"),
		Title: "Storage", Now: "is", Over: "over:",
		Impact: "When the disk is full, posts are refused until there is room; Meta repeats them for seven days.",
		Help:   "Make room, or keep less: --keep-events, --keep-attempts.",
	},
	{
		Name: DrillFailed, Subject: SubjectBridge,
		Levels: []SignalLevel{{Word: DrillFailedWord, Severity: Error, Text: "the last drill did not get through"}},
		Ends:   wellAgain("a drill got through"),
		Title:  "Drill", Now: "is", Over: "over:",
		Impact: "Real trouble would perhaps not be told either.",
		Help:   "See the deliveries of the drill's incident, and try flowbridge drill.",
	},
}
