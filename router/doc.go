// Package router is the domain of flowbridge: what Meta says (Event), what is wrong (Alert, Incident), what somebody
// must be told (Notification), and how one becomes the other (Fold, Router). It imports nothing of ours: reading Meta's
// posts, deciding by rules, storing and delivering are left to the packages below it and to the notifiers, which import
// this package and never each other. A test in cmd/flowbridge holds that table.
//
// # Words
//
//	event     one thing that Meta said, or a person did: one change of one entry of one post
//	subject   what an event is about: a flow, an account, a phone number, a template
//	signal    one thing that can be wrong with a subject, with its levels: ENDPOINT_ERROR_RATE at 5, 10, 50 %
//	alert     one level of one signal of one subject, active or not: an ACTIVATED and its DEACTIVATED
//	incident  the alerts that belong together: open, acknowledged or resolved; people call it INC-42
//	notice    an event without a pair: told once, never open
//	notifier  a configured way to tell somebody, by its name in the rules
//	target    where that is at the service: a channel, a routing key. What is told to one target is one thing
//	act       what a person did: acknowledge, take that back, resolve, reopen, page, silence
//	delivery  one incident or notice that is owed to one notifier
//	receipt   what the service calls what was made there
//
// # How data moves
//
//	Meta ──► whatsapp: verify, decode ──► journal (on disk) ──► 200 to Meta
//	people (Slack, PagerDuty, console, command line) ──► journal, as events of their own
//	graph, probe: what Meta's API says of a flow, and what its endpoint answers ──► journal, likewise
//	journal ──► Router ──► Fold: rules decide, incidents move, deliveries are owed ──► one transaction
//	deliveries ──► delivery claims one ──► Notifier.Sync ──► receipt, or an error that says what happens next
//
// # States of an incident
//
//	           ACTIVATED                 acknowledge
//	(nothing) ───────────► open ◄─────────────────────► acknowledged
//	                        │ ▲       take that back        │
//	    last alert is over, │ │ reopen, after a             │ last alert is over,
//	    or a person resolves│ │ resolve by hand             │ or a person resolves
//	                        ▼ │                             ▼
//	                      resolved ◄────────────────────────┘
//
// Trouble after a recovery opens a new incident, unless it comes within the rule's resolve_after.
//
// # States of a delivery
//
//	         claimed, Sync succeeds           more is owed
//	waiting ───────────────────────► delivered ───────────► waiting
//	   │ ▲
//	   │ │ a failure: tried again, with back-off
//	   │ └─ a person retries, or a probe succeeds ── parked ◄── the service refuses, in its own form
//	   └──► cancelled: there was nothing to tell
//
// # Where to look
//
// What is known of a signal stands in its row (signal.go says where), of a kind of service in kind.go, of an act in
// guard.go. Fold (fold.go) is pure: state, event, verdict, moment in; state, timeline and what is owed out. Its comment
// lists its phases (timers, ladder, reconcile, watch, owe), and what holds after every event. A batch (batch.go) folds
// events one after another, and the Router (router.go) reads the journal and commits what a batch came to.
package router
