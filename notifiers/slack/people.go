package slack

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

// people knows which workspace is ours, who is in a user group and what somebody is called. It asks Slack, keeps the
// answers for a while, and keeps few of them.
type people struct {
	api peopleAPI
	now func() time.Time

	mu         sync.Mutex
	team       string
	enterprise string
	groups     map[string]members
	names      map[string]called
}

type peopleAPI interface {
	AuthTestContext(ctx context.Context) (*slack.AuthTestResponse, error)
	GetUserGroupMembersContext(ctx context.Context, group string, options ...slack.GetUserGroupMembersOption) ([]string, error)
	GetUserInfoContext(ctx context.Context, user string, options ...slack.GetUserInfoOption) (*slack.User, error)
}

type members struct {
	ids map[string]bool
	at  time.Time // when Slack said so
}

type called struct {
	name string // "" where Slack would not say
	at   time.Time
}

const (
	groupFresh = 5 * time.Minute // who left a group can act for as long
	groupStale = time.Hour       // and as long while Slack does not answer
	nameFresh  = time.Hour
	mostGroups = 200
	mostNames  = 2000
	actorText  = 100 // characters of a person's name
)

func newPeople(api peopleAPI, now func() time.Time) *people {
	return &people{api: api, now: now, groups: map[string]members{}, names: map[string]called{}}
}

// ours says whether a request is of our workspace, and of one of its own people: in a channel that is shared with another
// company their people see our buttons too. In an Enterprise Grid people have one workspace of several.
func (p *people) ours(ctx context.Context, team, enterprise, userTeam string) (bool, error) {
	p.mu.Lock()
	own, grid := p.team, p.enterprise
	p.mu.Unlock()
	if own == "" {
		ctx, cancel := context.WithTimeout(ctx, lookIn)
		defer cancel()
		found, err := p.api.AuthTestContext(ctx)
		if f := read("auth.test", err); f != nil {
			return false, f
		}
		if found.TeamID == "" {
			return false, &failure{method: "auth.test", code: "an answer without a workspace"}
		}
		own, grid = found.TeamID, found.EnterpriseID
		p.mu.Lock()
		p.team, p.enterprise = own, grid
		p.mu.Unlock()
	}
	switch team {
	case own:
		return userTeam == "" || userTeam == own || grid != "", nil
	case "": // installed for a whole Enterprise Grid
		return grid != "" && enterprise == grid, nil
	}
	return false, nil
}

// on says whether a person is on a list of users and user groups. The error says that it could not be learnt of some group.
func (p *people) on(ctx context.Context, list []string, user string) (bool, error) {
	if user == "" {
		return false, nil
	}
	var groups []string
	for _, id := range list {
		switch id = strings.TrimSpace(id); {
		case id == user:
			return true, nil
		case strings.HasPrefix(id, "S"):
			groups = append(groups, id)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, lookIn)
	defer cancel()
	var fault error
	for _, group := range groups {
		in, err := p.in(ctx, group, user)
		if in {
			return true, nil
		}
		fault = cmp.Or(fault, err)
	}
	return false, fault
}

func (p *people) in(ctx context.Context, group, user string) (bool, error) {
	p.mu.Lock()
	known, ok := p.groups[group]
	p.mu.Unlock()
	age := p.now().Sub(known.at)
	if ok && age < groupFresh {
		return known.ids[user], nil
	}
	list, err := p.api.GetUserGroupMembersContext(ctx, group)
	if f := read("usergroups.users.list", err); f != nil {
		if ok && age < groupStale && f.soon() {
			return known.ids[user], nil
		}
		return false, f
	}
	fresh := members{ids: map[string]bool{}, at: p.now()}
	for _, id := range list {
		fresh.ids[id] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.groups) >= mostGroups {
		clear(p.groups)
	}
	p.groups[group] = fresh
	return fresh.ids[user], nil
}

// name is what a person is called. With the scope users:read it is the name that Slack shows, else the handle that came
// with the request.
func (p *people) name(ctx context.Context, who person) string {
	handle := cut(strings.Join(strings.Fields(harmless(cmp.Or(who.name, who.id, "somebody"))), " "), actorText)
	if who.id == "" {
		return handle
	}
	p.mu.Lock()
	known, ok := p.names[who.id]
	p.mu.Unlock()
	if ok && p.now().Sub(known.at) < nameFresh {
		return cmp.Or(known.name, handle)
	}
	ctx, cancel := context.WithTimeout(ctx, lookIn/2)
	defer cancel()
	found, err := p.api.GetUserInfoContext(ctx, who.id)
	name := ""
	if err == nil && found != nil {
		name = cmp.Or(found.Profile.DisplayName, found.Profile.RealName, found.RealName)
		name = cut(strings.Join(strings.Fields(harmless(name)), " "), actorText)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.names) >= mostNames {
		old := slices.Collect(maps.Keys(p.names))
		for _, id := range old[:len(old)/2] {
			delete(p.names, id)
		}
	}
	p.names[who.id] = called{name, p.now()} // what it would not say is not asked again soon
	return cmp.Or(name, handle)
}
