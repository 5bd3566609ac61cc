package slack

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// identity is whose app we are, by our token. A workspace may belong to an Enterprise Grid; an app may be installed in
// one workspace, or for a whole Grid, and then hears people of each of its workspaces.
type identity struct {
	team, enterprise string // enterprise is "" outside of a Grid
	orgWide          bool
	at               time.Time
	token            router.Secret // whose this is
}

// origin is where a request comes from, in Slack's ids. What it does not say is empty.
type origin struct {
	team, enterprise string // where the app is that was pressed or called
	teamEnterprise   string // whose workspace team is
	user             string
	home             string // the workspace of the person, or their Grid; a command does not say
}

// standing is what a request may do.
type standing int

const (
	foreign standing = iota // it is for another installation of the app
	guest                   // it is for us, by a person of another organisation that shares the channel: they may look
	ours
)

// has says whether a request is for this installation.
func (id identity) has(from origin) bool {
	grid := id.enterprise != "" && from.enterprise == id.enterprise
	switch {
	case id.orgWide && from.enterprise != "":
		return grid
	case id.enterprise != "" && from.enterprise != "" && !grid:
		return false
	}
	return from.team != "" && from.team == id.team
}

// standing says what a request may do. The error says that it could not be learnt.
func (p *people) standing(ctx context.Context, from origin) (standing, error) {
	self, err := p.whose(ctx)
	switch {
	case err != nil:
		return foreign, err
	case !self.has(from):
		return foreign, nil
	case from.home == "", from.home == self.team, from.home == self.enterprise:
		return ours, nil
	case self.enterprise == "":
		return guest, nil
	case from.home == from.team && from.teamEnterprise != "":
		if from.teamEnterprise != self.enterprise {
			return guest, nil
		}
		return ours, nil
	}
	// Of another workspace: of the same Grid, or of somebody who shares the channel? Slack knows.
	who := p.look(ctx, from.user, true)
	switch {
	case who.fault.soon():
		return foreign, who.fault
	case who.stranger, who.enterprise != "" && who.enterprise != self.enterprise:
		return guest, nil
	case who.enterprise == self.enterprise:
		return ours, nil
	case self.orgWide && from.home == from.team: // it would not say; the app is installed where they are
		return ours, nil
	}
	return guest, nil
}

// whose returns whose app we are.
func (p *people) whose(ctx context.Context) (identity, error) {
	p.mu.Lock()
	self := p.self
	p.mu.Unlock()
	known := !self.at.IsZero() && self.token == p.api.token() // else it was replaced, maybe by one of another workspace
	if known && p.now().Sub(self.at) < selfFresh {
		return self, nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.lookIn)
	defer cancel()
	found, err := p.api.identify(ctx)
	f := read("auth.test", err)
	switch {
	case f != nil && known && (f.soon() || f.is(unknown)):
		return self, nil
	case f != nil:
		return identity{}, f
	case found.team == "" && found.enterprise == "":
		return identity{}, &failure{method: "auth.test", code: "an answer without a workspace"}
	}
	found.at = p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.self = found
	return found, nil
}

// token is the bot token in force.
func (c *clients) token() router.Secret {
	bot, _ := c.tokens()
	return bot
}

// identify asks auth.test itself: the library does not read all of the answer.
func (c *clients) identify(ctx context.Context) (identity, error) {
	bot, _ := c.tokens()
	form := url.Values{"token": {bot.Reveal()}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"auth.test", strings.NewReader(form.Encode()))
	if err != nil {
		return identity{}, errors.New("the address of the API cannot be called")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.http.Do(req)
	if err != nil {
		return identity{}, err
	}
	defer resp.Body.Close()
	var said struct {
		OK         bool
		Error      string
		Team       string `json:"team_id"`
		Enterprise string `json:"enterprise_id"`
		OrgWide    bool   `json:"is_enterprise_install"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		return identity{}, errors.New("the answer could not be read")
	}
	if !said.OK {
		return identity{}, slack.SlackErrorResponse{Err: said.Error}
	}
	return identity{team: said.Team, enterprise: said.Enterprise, orgWide: said.OrgWide, token: bot}, nil
}
