// Package slack keeps one message of a Slack channel in the state of an incident: the message is edited in
// place, and its thread is the timeline. Notices are posted once. When to try again is left to the queue of
// deliveries, which reads that from our errors.
//
// What people press and write comes back through the Receiver, as events for the journal.
package slack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// Kind is the kind of notifiers that this package tells.
const Kind = router.KindSlack

// Needs says what to do where there is no token.
const Needs = "set SLACK_BOT_TOKEN to the bot token of your Slack app"

// Config is what a Notifier may be told. A zero field takes its default.
type Config struct {
	// Token is the bot token of the Slack app (xoxb-...). Required. It needs the scope chat:write; with
	// channels:history and channels:read, and groups:history and groups:read for private channels, no message is
	// posted twice after a crash, and with channels:join the app enters public channels by itself.
	Token router.Secret
	// TokenNow returns the one in force; it is asked for each Sync, since it may be replaced. Default: Token.
	TokenNow func() router.Secret
	// APIURL is the address of Slack's Web API. Default: https://slack.com/api/
	APIURL string
	// Interactive says that a Receiver hears what people press: cards of incidents get buttons. Default: they
	// only have links.
	Interactive bool
	// ChannelID returns the id of the channel that messages to a #name went to last, by the receipts that are kept; ""
	// where there is none. It is asked where this process has told nothing there yet. Default: nothing is known.
	ChannelID func(ctx context.Context, name string) (string, error)
	// Timeout bounds one call. A Sync makes several. Default: 10 s.
	Timeout time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Logger gets a warning for each card that Slack refused and that was told in plain words instead.
	// Default: none.
	Logger *slog.Logger
}

// api is what we use of the library: its minor releases break.
type api interface {
	PostMessageWithResponseContext(ctx context.Context, channel string, options ...slack.MsgOption) (id, ts string,
		m slack.Message, err error)
	UpdateMessageContext(ctx context.Context, channel, ts string, options ...slack.MsgOption) (id, newTS, text string,
		err error)
	DeleteMessageContext(ctx context.Context, channel, ts string) (id, oldTS string, err error)
	GetPermalinkContext(ctx context.Context, p *slack.PermalinkParameters) (string, error)
	GetConversationHistoryContext(ctx context.Context,
		p *slack.GetConversationHistoryParameters) (*slack.GetConversationHistoryResponse, error)
	GetConversationRepliesContext(ctx context.Context, p *slack.GetConversationRepliesParameters) (found []slack.Message,
		more bool, cursor string, err error)
	GetConversationsContext(ctx context.Context, p *slack.GetConversationsParameters) (found []slack.Channel,
		cursor string, err error)
	JoinConversationContext(ctx context.Context, channel string) (*slack.Channel, string, []string, error)
}

// Notifier tells Slack channels. Its methods may be called from several goroutines.
type Notifier struct {
	cfg     Config
	clients *clients

	mu    sync.Mutex
	ids   map[string]string    // of channels, by the #name that a target gives
	links map[string]permalink // of channels, by id
	held  map[string]time.Time // until when Slack wants no more of what it counts together
}

// New returns a Notifier. It calls nobody.
func New(cfg Config) (*Notifier, error) {
	if cfg.Token == "" {
		return nil, errors.New("slack: no bot token")
	}
	api, err := webAPI(cfg.APIURL)
	if err != nil {
		return nil, err
	}
	cfg.APIURL = api.String()
	cfg.Timeout = cmp.Or(cfg.Timeout, timeout)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.ChannelID == nil {
		cfg.ChannelID = func(context.Context, string) (string, error) { return "", nil }
	}
	if cfg.TokenNow == nil {
		cfg.TokenNow = func() router.Secret { return cfg.Token }
	}
	clients := &clients{url: cfg.APIURL, http: apiClient(cfg.Timeout, cfg.Now),
		tokens: func() (bot, app router.Secret) { return cfg.TokenNow(), "" }}
	return &Notifier{cfg: cfg, clients: clients, ids: map[string]string{}, links: map[string]permalink{},
		held: map[string]time.Time{}}, nil
}

// webAPI reads the address of Slack's Web API, "" for the usual one.
func webAPI(address string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(cmp.Or(address, apiURL), "/") + "/")
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("slack: the address of the API is no http or https URL") // without it: it may hold a password
	}
	return u, nil
}

// Sync brings the channel of n to the state in n. See the Notifier of package delivery for what the receipt
// and the errors mean. Errors hold neither the token nor an address.
func (s *Notifier) Sync(ctx context.Context, n router.Notification) (router.Receipt, error) {
	if n.Digest == nil && (n.Incident == nil) == (n.Notice == nil) {
		return n.Receipt, fmt.Errorf("delivery %d: neither an incident nor a notice, or both", n.Delivery)
	}
	var had own
	if err := n.Receipt.Own.Get(&had); err != nil {
		return n.Receipt, err
	}
	if id := had.Channel; id != "" && !isName(id) && s.known(n.Target.Address) == "" {
		s.remember(n.Target.Address, id)
	}
	api := s.clients.now()
	router.ExchangeOf(ctx).Hide(s.clients.secrets()...)
	t := telling{Notifier: s, api: api, n: &n, card: render(&n, s.cfg.Interactive), receipt: receipt{n.Receipt, had}}
	if f := t.tell(ctx); f != nil {
		return t.receipt.write(), s.verdict(f, n.FailingSince)
	}
	return t.receipt.write(), nil
}
