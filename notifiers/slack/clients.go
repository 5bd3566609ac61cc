package slack

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// clients makes clients of the library, which keep the tokens that they are made with: tokens may be replaced while we
// run.
type clients struct {
	url    string
	http   *http.Client
	tokens func() (bot, app router.Secret) // in force

	mu       sync.Mutex
	made     *slack.Client
	bot, app router.Secret // that it was made with
	before   router.Secret // the bot token before this one
}

// now returns a client with the tokens in force.
func (c *clients) now() *slack.Client {
	bot, app := c.tokens()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil || bot != c.bot || app != c.app {
		if bot != c.bot {
			c.before = c.bot
		}
		c.bot, c.app = bot, app
		c.made = slack.New(bot.Reveal(), slack.OptionAPIURL(c.url), slack.OptionHTTPClient(c.http),
			slack.OptionAppLevelToken(app.Reveal()))
	}
	return c.made
}

// secrets are the token in force, and that before it, which may have been sent.
func (c *clients) secrets() []router.Secret {
	c.mu.Lock()
	defer c.mu.Unlock()
	return []router.Secret{c.bot, c.before}
}

// hider puts dots in the place of tokens.
func (c *clients) hider() *strings.Replacer {
	var pairs []string
	for _, token := range c.secrets() {
		if token != "" {
			pairs = append(pairs, token.Reveal(), token.String())
		}
	}
	return strings.NewReplacer(pairs...)
}

func (c *clients) GetUserGroupMembersContext(ctx context.Context, group string,
	options ...slack.GetUserGroupMembersOption) ([]string, error) {
	return c.now().GetUserGroupMembersContext(ctx, group, options...)
}

func (c *clients) GetUserInfoContext(ctx context.Context, user string,
	options ...slack.GetUserInfoOption) (*slack.User, error) {
	return c.now().GetUserInfoContext(ctx, user, options...)
}

// tokenLook is how often there is a look at whether the app token was replaced under a connection.
const tokenLook = time.Second

// connectWithToken runs one connection, until it ends or its token is no longer the one in force.
func (r *Receiver) connectWithToken(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	token := r.cfg.AppTokenNow()
	watching.Go(func() {
		for router.Sleep(ctx, tokenLook) {
			if r.cfg.AppTokenNow() != token {
				r.cfg.Logger.Info("the app token of Slack was replaced; connecting with the new one")
				cancel()
			}
		}
	})
	return r.connect(ctx)
}
