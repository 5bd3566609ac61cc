package slack

import "time"

// Slack's limits, in characters unless they count things. Characters count after escaping. Sources: Slack's
// references of blocks, block elements and composition objects; chat.postMessage and chat.update; message
// metadata. What a message may hold in all is not documented: about 13,200 were found by trial.
const (
	maxSectionText   = 3000
	maxFields        = 10 // of one section
	maxFieldText     = 2000
	maxElements      = 10 // of one context block
	maxButtons       = 25 // of one actions block
	maxButtonText    = 75
	maxOptionText    = 75
	maxPlaceholder   = 150
	maxConfirmTitle  = 100
	maxConfirmText   = 300
	maxConfirmButton = 30
	maxURL           = 3000
	maxBlocks        = 50
)

// What we allow ourselves within them: a card has to be read at a glance.
const (
	budget       = 10_000 // all text of a message
	sentence     = 250    // the push notification, and what a screen reader says
	sentenceName = 110    // of it, what is told of
	threadText   = 4000   // one message of a thread: what an update of it could hold
	titleText    = 200
	nameText     = 80 // of a flow, a rule, a notifier, a label
	proseText    = 2000
	fieldText    = 300 // what a rule wants shown
	factText     = 120 // what we show by ourselves
	problemText  = 300
	lineText     = 500 // one line of a thread
	// unthreadedText is what a card says in place of its thread, beside a sentence about that.
	unthreadedText = 1500
	moreText       = 300 // a list in a line: thresholds, signals
	inlineURL      = 500 // the target of a link within a text
	mostFields     = 2 * maxFields
	mostLabels     = 5
	mostErrors     = 5
	mostProse      = 5  // facts in sentences
	shortFact      = 40 // what fits a column
	errorType      = 40
	errorHelp      = 70
	mostAlso       = 5
	mostProblems   = 3
	mostPagers     = 3
	mostCalls      = 20 // whom a message calls by name
	mostLinks      = 3  // what services call it
	mostReplies    = 4  // with the card they are the five posts in a row that a channel takes
)

// What we allow ourselves must fit into what Slack takes: else these constants do not compile.
const (
	_ = uint(maxSectionText - proseText)
	_ = uint(maxSectionText - titleText - nameText - 2*moreText - inlineURL)
	_ = uint(maxSectionText - mostProblems*(problemText+nameText+moreText))
	_ = uint(maxSectionText - unthreadedText - 2*nameText)
	_ = uint(maxSectionText - mostAlso*(factText+nameText))
	_ = uint(maxFieldText - nameText - fieldText - 3)
	_ = uint(maxFieldText - nameText - factText - mostLinks*(inlineURL+nameText+10))
	_ = uint(maxSectionText - mostProse*(fieldText+nameText+6))
	_ = uint(maxButtons - mostPagers - 3)
)

// Bounds of our own calls.
const (
	apiURL   = "https://slack.com/api/"
	timeout  = 10 * time.Second
	maxBody  = 8 << 20 // bytes that are read of an answer
	pageSize = 200     // messages asked for at a time
	// maxPages bounds the search for a message of our own: 5,000 messages, for half of the reads that Slack allows in a
	// minute.
	maxPages = 25
	// maxChannelPages bounds the search for a channel by its name: 20,000 of them.
	maxChannelPages = 20
	// longestWait is how long Slack is obeyed that wants no more calls. Its limits are per minute; a slip of its clock, or
	// of a proxy's, must not silence us for longer.
	longestWait = 5 * time.Minute
	// patience is how long an answer that nobody knows is not taken as final.
	patience = time.Hour
	// mostLooks is how many looks for what an attempt left may fail before it is posted anew: a quarter of an hour of
	// them, with back-off, is longer than most outages.
	mostLooks = 20
	// mostLimited is after how many looks in a row that Slack limits it is posted anew: some minutes.
	mostLimited = 5
	// margin is how far back from the event we look for what an attempt left: clocks differ.
	margin = time.Hour
)
