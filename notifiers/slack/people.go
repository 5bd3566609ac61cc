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

	"flowbridge/router"
)

// people knows whose app we are, who is in a user group, and who somebody is. It asks Slack, keeps the answers for a
// while, and keeps few of them.
type people struct {
	api    peopleAPI
	now    func() time.Time
	lookIn time.Duration // all that is asked for one request

	mu     sync.Mutex
	self   identity
	groups map[string]members
	known  map[string]called
}

type peopleAPI interface {
	token() router.Secret // in force
	identify(ctx context.Context) (identity, error)
	GetUserGroupMembersContext(ctx context.Context, group string, options ...slack.GetUserGroupMembersOption) ([]string,
		error)
	GetUserInfoContext(ctx context.Context, user string, options ...slack.GetUserInfoOption) (*slack.User, error)
}

type members struct {
	ids map[string]bool
	at  time.Time // when Slack said so
}

// called is what Slack says of a person.
type called struct {
	name       string // "" where it would not say
	enterprise string // whose workspaces they are of; "" where that is not known, or it is none
	stranger   bool   // of another organisation, with which a channel is shared
	fault      *failure
	at         time.Time
}

const (
	groupFresh = 5 * time.Minute // who left a group can act for as long
	groupStale = time.Hour       // and as long while Slack does not answer
	nameFresh  = time.Hour
	selfFresh  = time.Hour // a workspace may join an Enterprise Grid
	mostGroups = 200
	mostNames  = 2000
	actorText  = 100 // characters of a person's name
)

func newPeople(api peopleAPI, now func() time.Time) *people {
	return &people{api: api, now: now, lookIn: lookIn, groups: map[string]members{}, known: map[string]called{}}
}

// on says whether a person is on a list of users and user groups. The error says that it could not be learnt of some
// group.
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
	ctx, cancel := context.WithTimeout(ctx, p.lookIn)
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
	return cmp.Or(p.look(ctx, who.id, false).name, handle)
}

// look asks Slack who somebody is. What it would not say is not asked again soon, unless it matters and may be said
// now.
func (p *people) look(ctx context.Context, user string, matters bool) called {
	p.mu.Lock()
	known, ok := p.known[user]
	p.mu.Unlock()
	if ok && p.now().Sub(known.at) < nameFresh && (!matters || !known.fault.soon()) {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, p.lookIn/2)
	defer cancel()
	found, err := p.api.GetUserInfoContext(ctx, user)
	known = called{fault: read("users.info", err), at: p.now()}
	if err == nil && found != nil {
		name := cmp.Or(found.Profile.DisplayName, found.Profile.RealName, found.RealName)
		known.name = cut(strings.Join(strings.Fields(harmless(name)), " "), actorText)
		known.enterprise, known.stranger = found.Enterprise.EnterpriseID, found.IsStranger
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known) >= mostNames {
		old := slices.Collect(maps.Keys(p.known))
		for _, id := range old[:len(old)/2] {
			delete(p.known, id)
		}
	}
	p.known[user] = known
	return known
}
