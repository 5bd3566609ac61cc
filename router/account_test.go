package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

var (
	account  = router.Subject{Kind: router.SubjectAccount}
	number   = router.Subject{Kind: router.SubjectPhone, ID: "15550142233", Name: "+15550142233"}
	template = router.Subject{Kind: router.SubjectTemplate, ID: "77:nb_NO", Name: "parcel (nb_NO)"}
	business = router.Subject{Kind: router.SubjectEntity, ID: "BUSINESS:9", Name: "business 9"}
	shop     = router.Subject{Kind: router.SubjectPayment, ID: "shop", Name: "shop"}
)

// said is an event of the account as the decoder makes it.
func said(minute int, subject router.Subject, signal, change string, set ...func(*router.Event)) router.Event {
	e := at(minute, router.EventOf(signal), func(e *router.Event) {
		e.Flow, e.Field, e.Subject, e.Change = "", router.FieldOf(signal), subject, change
		if e.Name != signal {
			e.Signal = signal
		}
		e.AlertState = router.StateOf(signal, change)
		e.Facts = []router.Fact{{Name: "Word", Text: change}}
	})
	for _, f := range set {
		f(&e)
	}
	return e
}

// expires ends a restriction some minutes after the morning began.
func expires(minute int) func(*router.Event) {
	return func(e *router.Event) {
		e.AlertState, e.Expires = router.Activated, morning.Add(time.Duration(minute)*time.Minute)
	}
}

func state(s string) func(*router.Event) { return func(e *router.Event) { e.AlertState = s } }

// asking tells of a word, as a rule does that names it.
func asking(change string) func(*router.Event) router.Decision {
	return func(e *router.Event) router.Decision {
		d := chatAndPage(e)
		if e.Change == change {
			d.AsksForChange, d.Notify = true, []router.Route{{Target: chat}}
		}
		return d
	}
}

const (
	review   = "ACCOUNT_REVIEW_UPDATE"
	quality  = "PHONE_NUMBER_QUALITY_UPDATE"
	status2  = "MESSAGE_TEMPLATE_STATUS_UPDATE"
	quality2 = "MESSAGE_TEMPLATE_QUALITY_UPDATE"
	alerts   = "ACCOUNT_ALERTS"
	payment  = "PAYMENT_CONFIGURATION_UPDATE"
	starts   = "RESTRICTED_BIZ_INITIATED_MESSAGING"
	numbers  = "RESTRICTED_ADD_PHONE_NUMBER_ACTION"
)

// TestAccountsFold tells stories of accounts: what the timelines say in the end, and who was told what.
func TestAccountsFold(t *testing.T) {
	for name, c := range map[string]struct {
		decide func(*router.Event) router.Decision
		events []router.Event
		until  int // minutes after the morning began up to which time passes
		lines  []string
		told   []string
	}{
		"a ban is scheduled, comes, and is lifted: one incident": {
			events: []router.Event{
				said(0, account, router.AccountBan, "SCHEDULE_FOR_DISABLE"), said(60, account, router.AccountBan, "DISABLE"),
				said(180, account, router.AccountBan, "REINSTATE"),
			},
			lines: []string{
				"INC-1 opened Account ban: will be disabled. Meta will disable the account on the date of the ban: from then on " +
					"nothing can be sent",
				"INC-1 escalated Account ban: account disabled. Meta has disabled the account: nothing can be sent, and no flow " +
					"can be opened; " +
					"severity rises from error to critical",
				"INC-1 resolved Account ban: account reinstated after 3 h",
			},
			told: []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat open critical",
				"INC-1 page open critical",
				"INC-1 chat closed critical", "INC-1 page closed critical"},
		},
		"a ban that is put off eases": {
			events: []router.Event{said(0, account, router.AccountBan, "DISABLE"),
				said(60, account, router.AccountBan, "SCHEDULE_FOR_DISABLE")},
			lines: []string{
				"INC-1 opened Account ban: account disabled. Meta has disabled the account: nothing can be sent, and no flow " +
					"can be opened",
				"INC-1 eased Account ban: will be disabled; still active: Account ban: will be disabled",
			},
			told: []string{"INC-1 chat open critical", "INC-1 page open critical", "INC-1 chat open error",
				"INC-1 page open error"},
		},
		"a payment configuration is in one state at a time, however they arrive": {
			events: []router.Event{
				said(0, shop, payment, "Needs Connecting"), said(20, shop, payment, "Needs Signing", state(router.Activated)),
				said(10, shop, payment, "Needs Testing"), said(30, shop, payment, "Active"),
			},
			lines: []string{
				"INC-1 opened Payment configuration: needs connecting. Nobody can pay by the configuration until it is connected",
				"INC-1 activated Payment configuration: Needs Signing",
				"INC-1 late Arrived late and changed nothing: Payment configuration: needs testing",
				"INC-1 resolved Payment configuration: active after 30 min",
			},
			told: []string{"INC-1 chat open warning", "INC-1 chat open warning", "INC-1 chat closed warning"},
		},
		"two restrictions end each by its time": {
			events: []router.Event{
				said(0, account, router.AccountRestriction, starts, expires(120)),
				said(0, account, router.AccountRestriction, numbers, expires(60)),
			},
			until: 121,
			lines: []string{
				"INC-1 opened Account restriction: cannot start conversations. The account cannot start conversations: no " +
					"template, " +
					"and no flow in one, reaches anybody who has not written first",
				"INC-1 activated Account restriction: cannot add phone numbers. The account can add no phone numbers; those " +
					"that it has go on",
				"INC-1 eased Account restriction: cannot add phone numbers: over by its own time; still active: Account " +
					"restriction: cannot start conversations",
				"INC-1 resolved Account restriction: cannot start conversations: over by its own time, after 2 h",
			},
			told: []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat open error", "INC-1 page open error",
				"INC-1 chat open error", "INC-1 page open error", "INC-1 chat closed error", "INC-1 page closed error"},
		},
		"a restriction that is prolonged ends later": {
			events: []router.Event{
				said(0, account, router.AccountRestriction, "RESTRICTED_ANEW", expires(60)),
				said(30, account, router.AccountRestriction, "RESTRICTED_ANEW", expires(90)),
			},
			until: 200,
			lines: []string{
				"INC-1 opened Account restriction: RESTRICTED_ANEW",
				"INC-1 resolved Account restriction: RESTRICTED_ANEW: over by its own time, after 1 h 30 min",
			},
			told: []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat open error", "INC-1 page open error",
				"INC-1 chat closed error", "INC-1 page closed error"},
		},
		"a restriction that was resolved by hand comes again after its time": {
			events: []router.Event{
				said(0, account, router.AccountRestriction, numbers, expires(60)),
				at(10, router.Resolve, func(e *router.Event) {
					e.Source, e.Flow, e.Act = router.SourceConsole, account.Key(), &router.Act{Incident: 1, Actor: "Kim"}
				}),
				said(90, account, router.AccountRestriction, numbers, expires(120)),
			},
			lines: []string{
				"INC-1 opened Account restriction: cannot add phone numbers. The account can add no phone numbers; those that " +
					"it has go on",
				"INC-1 resolved Resolved by Kim after 10 min; Meta still reports it",
				"INC-1 recovered Account restriction: cannot add phone numbers: over by its own time",
				"INC-2 opened Account restriction: cannot add phone numbers. The account can add no phone numbers; those that " +
					"it has go on",
			},
			told: []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat closed error",
				"INC-1 page closed error",
				"INC-1 chat closed error", "INC-2 chat open error", "INC-2 page open error"},
		},
		"a restriction whose time is over opens nothing": {
			events: []router.Event{said(60, account, router.AccountRestriction, numbers, expires(60))},
		},
		"a template is paused and comes back": {
			events: []router.Event{said(0, template, status2, "FLAGGED"), said(10, template, status2, "PAUSED"),
				said(190, template, status2, "UNPAUSE")},
			lines: []string{
				"INC-1 opened Template status: flagged. People block or report the template: it will be paused, then disabled",
				"INC-1 activated Template status: paused. The template cannot be sent until its pause is over",
				"INC-1 resolved Template status: no longer paused after 3 h 10 min",
			},
			told: []string{"INC-1 chat open warning", "INC-1 chat open warning", "INC-1 chat closed warning"},
		},
		"a template that is deleted is no trouble": {
			events: []router.Event{said(0, template, status2, "DISABLED"), said(10, template, status2, "PENDING_DELETION")},
			lines: []string{
				"INC-1 opened Template status: disabled. The template cannot be sent any more",
				"INC-1 resolved Template status: to be deleted after 10 min",
			},
			told: []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat closed error",
				"INC-1 page closed error"},
		},
		"a template's quality falls and recovers": {
			events: []router.Event{said(0, template, quality2, "YELLOW"), said(10, template, quality2, "RED"),
				said(20, template, quality2, "UNKNOWN"),
				said(30, template, quality2, "GREEN")},
			lines: []string{
				"INC-1 opened Template quality: medium quality",
				"INC-1 escalated Template quality: low quality. People block or report the template: it will be paused, then " +
					"disabled; " +
					"severity rises from info to warning",
				"INC-1 resolved Template quality: high quality after 30 min",
			},
			told: []string{"INC-1 chat open info", "INC-1 chat open warning", "notice to chat", "INC-1 chat closed warning"},
		},
		"a number is flagged, and its limit falls: two incidents": {
			events: []router.Event{said(0, number, quality, "FLAGGED"), said(10, number, router.PhoneMessagingLimit,
				"DOWNGRADE"),
				said(20, number, quality, "UNFLAGGED"), said(30, number, router.PhoneMessagingLimit, "UPGRADE")},
			lines: []string{
				"INC-1 opened Phone number quality: flagged for low quality. People block or report messages of the number: " +
					"unless that gets better within 7 days, Meta may lower its limit",
				"INC-2 opened Messaging limit: limit lowered. The number may start fewer conversations a day than before",
				"INC-1 resolved Phone number quality: no longer flagged after 20 min",
				"INC-2 resolved Messaging limit: limit raised after 20 min",
			},
			told: []string{"INC-1 chat open error", "INC-1 page open error", "INC-2 chat open warning", "INC-1 chat open error",
				"INC-1 page open error",
				"INC-1 chat closed error", "INC-1 page closed error", "INC-2 chat open warning", "INC-2 chat closed warning"},
		},
		"the same word of another number is another incident": {
			events: []router.Event{said(0, number, quality, "FLAGGED"),
				said(10, router.Subject{Kind: router.SubjectPhone, ID: "4"}, quality, "UNFLAGGED")},
			lines: []string{
				"INC-1 opened Phone number quality: flagged for low quality. People block or report messages of the number: " +
					"unless that gets better within 7 days, Meta may lower its limit"},
			told: []string{"INC-1 chat open error", "INC-1 page open error", "close page"},
		},
		"each alert of a business is an incident, as bad as Meta says": {
			events: []router.Event{
				said(0, business, alerts, "OBA_REJECTED", state(router.Activated),
					func(e *router.Event) { e.Said = router.Critical }),
				said(10, business, alerts, "SOMETHING_NEW", state(router.Activated)),
				said(20, business, alerts, "OBA_REJECTED", state(router.Deactivated)),
			},
			lines: []string{
				"INC-1 opened Account alert: official business account rejected",
				"INC-2 opened Account alert: SOMETHING_NEW",
				"INC-1 resolved Account alert: official business account rejected: over after 20 min",
			},
			told: []string{"INC-1 chat open critical", "INC-1 page open critical", "INC-2 chat open warning",
				"INC-1 chat open critical",
				"INC-1 page open critical", "INC-1 chat closed critical", "INC-1 page closed critical", "INC-2 chat open warning"},
		},
		"an alert of a business that Meta calls worse by now gets worse": {
			events: []router.Event{
				said(0, business, alerts, "OBA_REJECTED", state(router.Activated)),
				said(5, business, alerts, "OBA_REJECTED", state(router.Activated),
					func(e *router.Event) { e.Said = router.Critical }),
				said(7, business, alerts, "OBA_REJECTED", state(router.Activated),
					func(e *router.Event) { e.Said = router.Warning }), // which is no recovery
				said(8, business, alerts, "OBA_REJECTED", state(router.Deactivated)),
			},
			lines: []string{
				"INC-1 opened Account alert: official business account rejected",
				"INC-1 escalated Account alert: official business account rejected; severity rises from warning to critical",
				"INC-1 resolved Account alert: official business account rejected: over after 8 min",
			},
			told: []string{"INC-1 chat open warning", "INC-1 chat open critical", "INC-1 page open critical",
				"INC-1 chat open critical", "INC-1 page open critical", "INC-1 chat closed critical",
				"INC-1 page closed critical"},
		},
		"any word that connects ends every way of being disconnected": {
			events: []router.Event{
				said(0, account, router.AccountConnection, "PARTNER_REMOVED"),
				said(10, account, router.AccountConnection, "PARTNER_APP_UNINSTALLED"),
				said(20, account, router.AccountConnection, "PARTNER_ADDED"),
			},
			lines: []string{
				"INC-1 opened Account connection: partner removed. " +
					"The account has removed the partner: nothing more will arrive for it",
				"INC-1 activated Account connection: app uninstalled. " +
					"The account has removed the app: nothing more will arrive for it",
				"INC-1 resolved Account connection: partner added after 20 min",
			},
			told: []string{"INC-1 chat open error", "INC-1 page open error", "INC-1 chat open error", "INC-1 page open error",
				"INC-1 chat closed error", "INC-1 page closed error"},
		},
		"an approval of what was not open is recorded, and a page that we do not know of is closed": {
			events: []router.Event{said(0, account, review, "APPROVED"), said(0, template, status2, "APPROVED")},
			told:   []string{"close page", "close page"},
		},
		"an approval is told to whoever asks for it": {
			decide: asking("APPROVED"),
			events: []router.Event{said(0, template, status2, "APPROVED")},
			told:   []string{"close page", "notice to chat"},
		},
		"news and unknown words are told once": {
			events: []router.Event{said(0, account, router.AccountUpdate, "ACCOUNT_DELETED"),
				said(1, number, "SECURITY", "PIN_RESET_REQUEST"),
				said(2, template, status2, "REJECTED"), said(3, account, router.AccountBan, "UNHEARD_OF"),
				said(4, account, "UNKNOWN_FIELD", "X")},
			told: []string{"notice to chat", "notice to page", "notice to chat", "notice to page", "notice to chat",
				"notice to chat", "notice to chat"},
		},
		"an older word that arrives late changes nothing": {
			events: []router.Event{said(60, account, router.AccountBan, "REINSTATE"),
				said(59, account, router.AccountBan, "DISABLE")},
			told: []string{"close page"},
		},
		"what was stored before subjects were known is news": {
			events: []router.Event{at(0, "ACCOUNT_UPDATE", func(e *router.Event) { e.Flow = "" })},
			told:   []string{"notice to chat"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &history{decide: c.decide}
			if h.decide == nil {
				h.decide = chatAndPage
			}
			sim := router.NewSimulation(h)
			var lines, told []string
			take := func(batches []router.Batch) {
				for _, b := range batches {
					for _, e := range b.Entries {
						lines = append(lines, fmt.Sprintf("%s %s %s", router.IncidentName(e.Incident), e.Kind, e.Text))
					}
					for _, o := range b.Owed {
						switch {
						case o.Incident != 0 && o.Open:
							told = append(told, fmt.Sprintf("%s %s open %s", router.IncidentName(o.Incident), o.Target.Notifier, o.Severity))
						case o.Incident != 0:
							told = append(told, fmt.Sprintf("%s %s closed %s", router.IncidentName(o.Incident), o.Target.Notifier,
								o.Severity))
						case !strings.HasPrefix(o.Key, "flowbridge/notice/"):
							told = append(told, "close "+o.Target.Notifier)
						default:
							told = append(told, "notice to "+o.Target.Notifier)
						}
					}
				}
			}
			for _, e := range c.events {
				take(sim.Fold(e))
			}
			take(sim.Advance(morning.Add(time.Duration(c.until) * time.Minute)))
			if diff := cmp.Diff(c.lines, sparePages(lines)); diff != "" {
				t.Errorf("timelines: -want +got\n%s", diff)
			}
			if diff := cmp.Diff(c.told, told); diff != "" {
				t.Errorf("told: -want +got\n%s", diff)
			}
		})
	}
}

func TestAnIncidentShowsWhatMetaSaidOfWhatIsActive(t *testing.T) {
	sim := router.NewSimulation(&history{decide: chatAndPage})
	shown := func(flow string) string {
		open := sim.State(router.FlowID{WABA: "w", Flow: flow}).Incidents
		if len(open) != 1 {
			t.Fatalf("%d incidents", len(open))
		}
		i := open[0]
		return fmt.Sprintf("%s %s %s %s %v %s", i.EventName(), i.Event, i.Flow, i.Change, i.Facts, i.Key)
	}
	same := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	sim.Fold(said(0, account, router.AccountRestriction, starts, expires(600)))
	sim.Fold(said(0, account, router.AccountRestriction, numbers, expires(60)))
	same(shown("account:"), "ACCOUNT_UPDATE ACCOUNT_RESTRICTION account: "+starts+" [{Word "+starts+"} {Word "+numbers+
		"}] flowbridge/w/account:/ACCOUNT_RESTRICTION") // the worse first
	sim.Advance(morning.Add(61 * time.Minute))
	same(shown("account:"), "ACCOUNT_UPDATE ACCOUNT_RESTRICTION account: "+starts+" [{Word "+starts+
		"}] flowbridge/w/account:/ACCOUNT_RESTRICTION")

	sim.Fold(said(62, template, status2, "FLAGGED"))
	sim.Fold(said(63, template, status2, "PAUSED"))
	same(shown("template:77:nb_NO"), status2+" "+status2+
		" template:77:nb_NO PAUSED [{Word PAUSED}] flowbridge/w/template:77:nb_NO/"+status2)

	sim.Fold(said(64, business, alerts, "OBA_REJECTED", state(router.Activated)))
	same(shown("entity:BUSINESS:9"), "ACCOUNT_ALERTS ACCOUNT_ALERTS entity:BUSINESS:9 OBA_REJECTED [{Word OBA_REJECTED}] "+
		"flowbridge/w/entity:BUSINESS:9/ACCOUNT_ALERTS/OBA_REJECTED")
}

// TestWhatWasHeldBackIsNotShownOnceItIsOver holds that an incident shows what is active when a hold ends, by time or
// with a resolution that is taken back.
func TestWhatWasHeldBackIsNotShownOnceItIsOver(t *testing.T) {
	for name, end := range map[string]func(*router.Simulation){
		"by time": func(sim *router.Simulation) { sim.Advance(morning.Add(12 * time.Minute)) },
		"by a resolution that was taken back": func(sim *router.Simulation) {
			for minute, what := range []string{2: router.Resolve, 3: router.Reopen} {
				if e := person(minute, what, 1); what != "" {
					e.Flow, e.Subject = "", template
					sim.Fold(e)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			sim := router.NewSimulation(&history{decide: holding})
			sim.Fold(said(0, template, status2, "DISABLED"))
			sim.Fold(said(1, template, status2, "PAUSED"))
			end(sim)
			inc := sim.State(router.FlowID{WABA: "w", Flow: template.Key()}).Incidents[0]
			got := fmt.Sprintf("%s %s %s %v", inc.State, inc.Severity, inc.Change, inc.Facts)
			if want := "open warning PAUSED [{Word PAUSED}]"; got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// TestARecoveryWithoutAThresholdEndsWhatIsActive holds that of flows, too.
func TestARecoveryWithoutAThresholdEndsWhatIsActive(t *testing.T) {
	h := &history{decide: chatAndPage}
	h.fold(up(0, 5))
	h.fold(up(1, 10))
	h.fold(pair(2, router.EndpointLatency, router.Activated, 5000))
	bare := down(3, 0)
	bare.Threshold = nil
	h.fold(bare)
	if h.outcome != "resolved INC-1" {
		t.Errorf("got %q", h.outcome)
	}
	h.fold(up(2, 50)) // older than that
	if h.outcome != "late: older than what is known" {
		t.Errorf("got %q", h.outcome)
	}
	if got := openIncidents(h.state); !strings.Contains(got, "INC-2") {
		t.Errorf("the latency is over as well: %s", got)
	}
}

// TestEveryWordOfTheCatalogueDoesWhatItIsTo holds the table of Meta's fields: what opens and how bad it is, what ends,
// what is told once.
func TestEveryWordOfTheCatalogueDoesWhatItIsTo(t *testing.T) {
	var got []string
	for _, s := range router.Signals() {
		if !s.Moves() {
			continue
		}
		for _, word := range s.Words() {
			e := said(0, router.Subject{Kind: s.Subject}, s.Name, word)
			does := map[string]string{router.Activated: "opens", router.Deactivated: "ends", "": "news"}[e.AlertState]
			got = append(got, fmt.Sprintf("%s %s %s %s", s.Name, word, does, router.DefaultSeverity(&e)))
		}
	}
	slices.Sort(got)
	want := `ACCOUNT_ALERTS INCREASED_CAPABILITIES_ELIGIBILITY_DEFERRED opens warning
ACCOUNT_ALERTS INCREASED_CAPABILITIES_ELIGIBILITY_FAILED opens warning
ACCOUNT_ALERTS INCREASED_CAPABILITIES_ELIGIBILITY_NEED_MORE_INFO opens warning
ACCOUNT_ALERTS OBA_APPROVED opens warning
ACCOUNT_ALERTS OBA_REJECTED opens warning
ACCOUNT_ALERTS PROFILE_PICTURE_LOST opens warning
ACCOUNT_BAN DISABLE opens critical
ACCOUNT_BAN DISABLED_UPDATE news error
ACCOUNT_BAN REINSTATE ends info
ACCOUNT_BAN SCHEDULE_FOR_DISABLE opens error
ACCOUNT_CONNECTION ACCOUNT_OFFBOARDED opens critical
ACCOUNT_CONNECTION ACCOUNT_RECONNECTED ends info
ACCOUNT_CONNECTION PARTNER_ADDED ends info
ACCOUNT_CONNECTION PARTNER_APP_INSTALLED ends info
ACCOUNT_CONNECTION PARTNER_APP_UNINSTALLED opens error
ACCOUNT_CONNECTION PARTNER_REMOVED opens error
ACCOUNT_RESTRICTION ACCOUNT_RESTRICTION news error
ACCOUNT_RESTRICTION RESTRICTED_ADD_PHONE_NUMBER_ACTION opens error
ACCOUNT_RESTRICTION RESTRICTED_BIZ_INITIATED_MESSAGING opens error
ACCOUNT_RESTRICTION RESTRICTED_CUSTOMER_INITIATED_MESSAGING opens error
ACCOUNT_REVIEW_UPDATE APPROVED ends info
ACCOUNT_REVIEW_UPDATE DEFERRED news info
ACCOUNT_REVIEW_UPDATE PENDING news info
ACCOUNT_REVIEW_UPDATE REJECTED opens critical
ACCOUNT_UPDATE ACCOUNT_DELETED news critical
ACCOUNT_UPDATE AD_ACCOUNT_LINKED news info
ACCOUNT_UPDATE AUTH_INTL_PRICE_ELIGIBILITY_UPDATE news info
ACCOUNT_UPDATE BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE news info
ACCOUNT_UPDATE MM_LITE_TERMS_SIGNED news info
ACCOUNT_UPDATE PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE news info
ACCOUNT_UPDATE VERIFIED_ACCOUNT news info
ACCOUNT_UPDATE VOLUME_BASED_PRICING_TIER_UPDATE news info
ACCOUNT_VIOLATION ACCOUNT_VIOLATION news error
BRIDGE_BAD_SIGNATURES ALL_REFUSED opens error
BRIDGE_BAD_SIGNATURES RISING opens warning
BRIDGE_BAD_SIGNATURES WELL ends info
BRIDGE_CERTIFICATE ENDED opens critical
BRIDGE_CERTIFICATE ENDS_SOON opens warning
BRIDGE_CERTIFICATE ENDS_VERY_SOON opens error
BRIDGE_CERTIFICATE WELL ends info
BRIDGE_DELAY LATE opens warning
BRIDGE_DELAY WELL ends info
BRIDGE_DRILL FAILED opens error
BRIDGE_DRILL WELL ends info
BRIDGE_SLOW_ANSWERS SLOW opens warning
BRIDGE_SLOW_ANSWERS WELL ends info
BRIDGE_SOURCE_SILENT SILENT opens error
BRIDGE_SOURCE_SILENT WELL ends info
BRIDGE_STALLED FOLD opens critical
BRIDGE_STALLED LANE opens error
BRIDGE_STALLED WELL ends info
BRIDGE_STORAGE_FULL FULL opens critical
BRIDGE_STORAGE_FULL NEARLY_FULL opens error
BRIDGE_STORAGE_FULL WELL ends info
MESSAGE_TEMPLATE_QUALITY_UPDATE GREEN ends info
MESSAGE_TEMPLATE_QUALITY_UPDATE RED opens warning
MESSAGE_TEMPLATE_QUALITY_UPDATE UNKNOWN news info
MESSAGE_TEMPLATE_QUALITY_UPDATE YELLOW opens info
MESSAGE_TEMPLATE_STATUS_UPDATE APPROVED ends info
MESSAGE_TEMPLATE_STATUS_UPDATE ARCHIVED news info
MESSAGE_TEMPLATE_STATUS_UPDATE DELETED ends info
MESSAGE_TEMPLATE_STATUS_UPDATE DISABLED opens error
MESSAGE_TEMPLATE_STATUS_UPDATE FLAGGED opens warning
MESSAGE_TEMPLATE_STATUS_UPDATE IN_APPEAL news info
MESSAGE_TEMPLATE_STATUS_UPDATE LIMIT_EXCEEDED news info
MESSAGE_TEMPLATE_STATUS_UPDATE LOCKED news info
MESSAGE_TEMPLATE_STATUS_UPDATE PAUSED opens warning
MESSAGE_TEMPLATE_STATUS_UPDATE PENDING news info
MESSAGE_TEMPLATE_STATUS_UPDATE PENDING_DELETION ends info
MESSAGE_TEMPLATE_STATUS_UPDATE REINSTATED ends info
MESSAGE_TEMPLATE_STATUS_UPDATE REJECTED news warning
MESSAGE_TEMPLATE_STATUS_UPDATE UNARCHIVED news info
MESSAGE_TEMPLATE_STATUS_UPDATE UNFLAGGED ends info
MESSAGE_TEMPLATE_STATUS_UPDATE UNPAUSE ends info
MESSAGE_TEMPLATE_STATUS_UPDATE UNPAUSED ends info
PAYMENT_CONFIGURATION_UPDATE Active ends info
PAYMENT_CONFIGURATION_UPDATE Needs Connecting opens warning
PAYMENT_CONFIGURATION_UPDATE Needs Testing opens warning
PHONE_MESSAGING_LIMIT DOWNGRADE opens warning
PHONE_MESSAGING_LIMIT UPGRADE ends info
PHONE_NUMBER_NAME_UPDATE APPROVED ends info
PHONE_NUMBER_NAME_UPDATE DEFERRED news info
PHONE_NUMBER_NAME_UPDATE PENDING news info
PHONE_NUMBER_NAME_UPDATE REJECTED opens warning
PHONE_NUMBER_QUALITY_UPDATE FLAGGED opens error
PHONE_NUMBER_QUALITY_UPDATE ONBOARDING news info
PHONE_NUMBER_QUALITY_UPDATE THROUGHPUT_UPGRADE news info
PHONE_NUMBER_QUALITY_UPDATE UNFLAGGED ends info
SECURITY PIN_CHANGED news critical
SECURITY PIN_RESET_REQUEST news critical
SECURITY PIN_RESET_SUCCESS news critical
TEMPLATE_CATEGORY_UPDATE AUTHENTICATION news warning
TEMPLATE_CATEGORY_UPDATE MARKETING news warning
TEMPLATE_CATEGORY_UPDATE UTILITY news warning`
	if diff := cmp.Diff(strings.Split(want, "\n"), got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for name, c := range map[string]struct {
		e    router.Event
		want router.Severity
	}{
		"an unknown restriction opens": {said(0, account, router.AccountRestriction, "RESTRICTED_ANEW",
			state(router.Activated)), router.Error},
		"Meta's own word": {said(0, business, alerts, "X",
			func(e *router.Event) { e.AlertState, e.Said = router.Activated, router.Critical }), router.Critical},
		"an end is good news": {said(0, business, alerts, "X",
			func(e *router.Event) { e.AlertState, e.Said = router.Deactivated, router.Critical }), router.Info},
		"an alert that is neither": {said(0, business, alerts, "OBA_REJECTED", state("")), router.Info},
		"an unknown category":      {said(0, template, "TEMPLATE_CATEGORY_UPDATE", "X"), router.Warning},
		"an unknown word":          {said(0, account, router.AccountBan, "X"), router.Info},
		"an unknown field":         {said(0, account, "X", "DISABLE"), router.Info},
		"a draft that will freeze": {at(0, router.FlowStatusChange,
			func(e *router.Event) { e.NewStatus, e.Warning = router.Draft, "freezes" }), router.Warning},
	} {
		if got := router.DefaultSeverity(&c.e); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}
