package slack

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// registry answers for Slack: whose app we are, and who somebody is.
type registry struct {
	self  identity
	who   slack.User
	fault error // of users.info
	bot   router.Secret
	asked int
	lost  error // of auth.test
}

func (r *registry) identify(context.Context) (identity, error) {
	r.asked++
	self := r.self
	self.token = r.bot
	return self, r.lost
}

func (r *registry) token() router.Secret { return r.bot }

func (r *registry) GetUserGroupMembersContext(context.Context, string,
	...slack.GetUserGroupMembersOption) ([]string, error) {
	return nil, errors.New("not asked here")
}

func (r *registry) GetUserInfoContext(context.Context, string, ...slack.GetUserInfoOption) (*slack.User, error) {
	return &r.who, r.fault
}

func TestWhoIsOfTheHouse(t *testing.T) {
	t.Parallel()
	alone := identity{team: "T1"}
	inGrid := identity{team: "T1", enterprise: "E1"}
	orgWide := identity{team: "E1", enterprise: "E1", orgWide: true}
	of := func(enterprise string, stranger bool) slack.User {
		return slack.User{Enterprise: slack.EnterpriseUser{EnterpriseID: enterprise}, IsStranger: stranger}
	}
	noScope := slack.SlackErrorResponse{Err: "missing_scope"}
	tests := []struct {
		name  string
		self  identity
		from  origin
		who   slack.User
		fault error
		want  standing
	}{
		{"own", alone, origin{team: "T1", home: "T1"}, slack.User{}, nil, ours},
		{"own, by a command, which does not say", alone, origin{team: "T1"}, slack.User{}, nil, ours},
		{"of a company that shares the channel", alone, origin{team: "T1", home: "T2"}, slack.User{}, nil, guest},
		{"of another installation", alone, origin{team: "T2", home: "T2"}, slack.User{}, nil, foreign},
		{"of a Grid's installation", alone, origin{enterprise: "E2", home: "T2"}, slack.User{}, nil, foreign},
		{"of nobody", alone, origin{}, slack.User{}, nil, foreign},

		{"in a Grid: own", inGrid, origin{team: "T1", enterprise: "E1", home: "T1"}, slack.User{}, nil, ours},
		{"in a Grid: own, named by the Grid", inGrid, origin{team: "T1", enterprise: "E1", home: "E1"}, slack.User{}, nil,
			ours},
		{"in a Grid: a sibling in our channel", inGrid, origin{team: "T1", enterprise: "E1", home: "T3"}, of("E1", false),
			nil, ours},
		{"in a Grid: a foreigner in our channel", inGrid, origin{team: "T1", enterprise: "E1", home: "T9"}, of("E9", true),
			nil, guest},
		{"in a Grid: a foreigner without a Grid", inGrid, origin{team: "T1", enterprise: "E1", home: "T9"}, of("", true), nil,
			guest},
		{"in a Grid: somebody of whom Slack does not say", inGrid, origin{team: "T1", enterprise: "E1", home: "T9"},
			slack.User{}, noScope, guest},
		{"in a Grid: an installation of a sibling", inGrid, origin{team: "T3", enterprise: "E1", home: "T3"}, of("E1", false),
			nil, foreign},
		{"in a Grid: an installation of the same id elsewhere", inGrid, origin{team: "T1", enterprise: "E9", home: "T1"},
			slack.User{}, nil, foreign},
		{"in a Grid: the installation for all of it", inGrid, origin{enterprise: "E1", home: "T1"}, slack.User{}, nil,
			foreign},

		{"for a Grid: a workspace", orgWide, origin{team: "T1", enterprise: "E1", home: "T1"}, of("E1", false), nil, ours},
		{"for a Grid: a workspace, as the request says", orgWide, origin{team: "T3", enterprise: "E1", teamEnterprise: "E1",
			home: "T3"}, slack.User{}, noScope, ours},
		{"for a Grid: a workspace, of which Slack does not say more", orgWide,
			origin{team: "T3", enterprise: "E1", home: "T3"}, slack.User{}, noScope, ours},
		{"for a Grid: no workspace", orgWide, origin{enterprise: "E1", home: "T3"}, of("E1", false), nil, ours},
		{"for a Grid: a command in a workspace", orgWide, origin{team: "T3", enterprise: "E1"}, slack.User{}, nil, ours},
		{"for a Grid: another Grid", orgWide, origin{team: "T9", enterprise: "E9", home: "T9"}, slack.User{}, nil, foreign},
		{"for a Grid: no Grid at all", orgWide, origin{team: "T9", home: "T9"}, slack.User{}, nil, foreign},
		{"for a Grid: a foreigner in a channel that is shared", orgWide, origin{team: "T3", enterprise: "E1", home: "T9"},
			of("E9", true), nil, guest},
		{"for a Grid: a foreigner, as the request says", orgWide, origin{team: "T9", enterprise: "E1", teamEnterprise: "E9",
			home: "T9"}, slack.User{}, noScope, guest},
		{"for a Grid: a foreigner whose workspace the request names", orgWide,
			origin{team: "T9", enterprise: "E1", home: "T9"}, of("", true), nil, guest},
		{"for a Grid: a foreigner of whom Slack does not say", orgWide, origin{team: "T3", enterprise: "E1", home: "T9"},
			slack.User{}, noScope, guest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newPeople(&registry{self: test.self, who: test.who, fault: test.fault}, time.Now)
			if got, err := p.standing(t.Context(), test.from); got != test.want || err != nil {
				t.Errorf("%d %v, want %d", got, err, test.want)
			}
		})
	}
}

func TestWhoIsOfTheHouseIsAskedAgainWhereSlackFailed(t *testing.T) {
	t.Parallel()
	r := &registry{self: identity{team: "T1", enterprise: "E1"}, fault: errors.New("no route")}
	p := newPeople(r, time.Now)
	from := origin{team: "T1", enterprise: "E1", user: "U1", home: "T3"}
	if got, err := p.standing(t.Context(), from); got == ours || err == nil {
		t.Errorf("%d %v", got, err)
	}
	r.fault, r.who.Enterprise.EnterpriseID = nil, "E1"
	if got, err := p.standing(t.Context(), from); got != ours || err != nil {
		t.Errorf("%d %v", got, err)
	}
}

// TestATokenOfAnotherWorkspaceIsAskedWhoseItIs holds that what is known of the token before says nothing of the next.
func TestATokenOfAnotherWorkspaceIsAskedWhoseItIs(t *testing.T) {
	t.Parallel()
	r := &registry{self: identity{team: "T1"}, bot: "xoxb-1"}
	p := newPeople(r, time.Now)
	stands := func(team string, want standing) {
		t.Helper()
		if got, err := p.standing(t.Context(), origin{team: team, home: team}); got != want || err != nil {
			t.Errorf("a press in %s: %d %v, want %d", team, got, err, want)
		}
	}
	stands("T1", ours)
	stands("T2", foreign)
	r.self, r.bot = identity{team: "T2"}, "xoxb-2"
	stands("T2", ours)
	stands("T1", foreign)
	if r.asked != 2 {
		t.Errorf("Slack was asked %d times about two tokens", r.asked)
	}
	r.bot, r.lost = "xoxb-3", errors.New("no route")
	if got, err := p.standing(t.Context(), origin{team: "T2", home: "T2"}); got != foreign || err == nil {
		t.Errorf("a token that nobody could be asked about: %d %v", got, err)
	}
}

// TestWhoseTheAppIsStaysKnownUntilSlackSaysOtherwise asks anew after a while, and gets no answer that says so.
func TestWhoseTheAppIsStaysKnownUntilSlackSaysOtherwise(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		lost error
		want standing
	}{
		{errors.New("no route"), ours}, {slack.SlackErrorResponse{Err: "internal_error"}, ours},
		{slack.SlackErrorResponse{Err: "a_word_of_tomorrow"}, ours},
		{slack.SlackErrorResponse{Err: "account_inactive"}, foreign},
	} {
		now := time.Now()
		r := &registry{self: identity{team: "T1"}, bot: "xoxb-1"}
		p := newPeople(r, func() time.Time { return now })
		for _, want := range []standing{ours, test.want} {
			got, err := p.standing(t.Context(), origin{team: "T1", home: "T1"})
			if got != want || (err == nil) != (want == ours) {
				t.Errorf("%v: %d %v, want %d", test.lost, got, err, want)
			}
			now, r.lost = now.Add(selfFresh), test.lost
		}
		if r.asked != 2 {
			t.Errorf("%v: Slack was asked %d times", test.lost, r.asked)
		}
	}
}

// grid is a desk whose workspace belongs to an Enterprise Grid.
func grid(t *testing.T, orgWide bool) *desk {
	d := newDesk(t, func(there *sandbox.SlackConfig, _ *ReceiverConfig) {
		there.Enterprise, there.OrgWide = "E0GRID", orgWide
		there.Scopes = []string{"chat:write", "users:read"}
		there.People["U0SIB"], there.People["U0ALIEN"] = "Sib", "Alien"
		there.Strangers = map[string]sandbox.Home{
			"U0SIB": {Team: "T0SIBLING", Enterprise: "E0GRID"}, "U0ALIEN": {Team: "T0ALIEN", Enterprise: "E0ALIEN"},
		}
	})
	d.card(opened())
	return d
}

func TestAGridIsOneHouseAndWhoSharesAChannelWithItIsAGuest(t *testing.T) {
	t.Parallel()
	for _, orgWide := range []bool{false, true} {
		d := grid(t, orgWide)
		if sent := d.press(sandbox.Press{Action: "acknowledge", User: "U0SIB"}); sent.Status != http.StatusOK {
			t.Errorf("a sibling: answered %d", sent.Status)
		}
		if sent := d.press(sandbox.Press{Action: "acknowledge", User: "U0ALIEN"}); sent.Status != http.StatusOK {
			t.Errorf("a guest: answered %d", sent.Status)
		}
		if got := d.told(1); got.User != "U0ALIEN" || !strings.Contains(got.Text, "you may look here and not act") {
			t.Errorf("told %+v", got)
		}
		if got := d.ledger.stored(); len(got) != 1 || got[0].Act.Actor != "Sib" {
			t.Errorf("stored %+v, want the sibling's act", got)
		}
		if sent := d.press(sandbox.Press{Action: "acknowledge", Team: "T0ALIEN",
			Enterprise: "E0ALIEN"}); sent.Status != http.StatusForbidden {
			t.Errorf("another installation: answered %d", sent.Status)
		}
	}
}

func TestAnAppOfAWholeGridHearsEachOfItsWorkspaces(t *testing.T) {
	t.Parallel()
	d := grid(t, true)
	if sent := d.press(sandbox.Press{Action: "acknowledge", User: "U0SIB",
		Team: "T0SIBLING"}); sent.Status != http.StatusOK || len(d.ledger.stored()) != 1 {
		t.Errorf("a press: %+v, stored %v", sent, d.ledger.stored())
	}
	sent, err := d.slack.Write(t.Context(), sandbox.Command{Text: "resolve 42", User: "U0SIB", Team: "T0SIBLING"})
	if err != nil || sent.Status != http.StatusOK || len(d.ledger.stored()) != 2 {
		t.Errorf("a command: %+v %v, stored %v", sent, err, d.ledger.stored())
	}
	sent, err = d.slack.Write(t.Context(), sandbox.Command{Text: "resolve 42", Team: "T0ALIEN", Enterprise: "E0ALIEN"})
	if err != nil || sent.Status != http.StatusForbidden || len(d.ledger.stored()) != 2 {
		t.Errorf("another Grid: %+v %v, stored %v", sent, err, d.ledger.stored())
	}
}

func TestAGuestOfAWorkspaceWithoutAGridMayLookAndNotAct(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(there *sandbox.SlackConfig, _ *ReceiverConfig) {
		there.Strangers = map[string]sandbox.Home{"U0ALIEN": {Team: "T0ALIEN"}}
	})
	d.card(escalated())
	if sent := d.press(sandbox.Press{Action: "resolve", User: "U0ALIEN"}); sent.Status != http.StatusOK {
		t.Errorf("answered %d", sent.Status)
	}
	if got := d.told(1); got.User != "U0ALIEN" || !strings.HasPrefix(got.Text, "INC-42: you may look here and not act") {
		t.Errorf("told %+v", got)
	}
	d.press(sandbox.Press{Action: "runbook", User: "U0ALIEN"})
	d.over(1)
	if got := d.ledger.stored(); len(got) != 0 {
		t.Errorf("stored %+v", got)
	}
}
