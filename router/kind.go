package router

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Kind is the service behind a notifier. What a kind can, and which keys it has in the rules file, stands in the table
// below and nowhere else: everybody asks there, and nobody compares kinds. What a call costs, how it is made and what
// its answer means stands in the package of the kind under notifiers.
type Kind string

// The kinds of notifiers.
const (
	KindSlack     Kind = "slack"
	KindPagerDuty Kind = "pagerduty"
	KindWebhook   Kind = "webhook"
)

// kindInfo is what is known of a kind.
type kindInfo struct {
	kind  Kind
	label string // the service as people write it
	one   string // one notifier of it, for people: "a Slack channel"
	about string // for whoever writes rules

	pages   bool // it wakes people
	keyed   bool // it finds an incident by a key that we choose: who never opened it can close it
	digests bool // it takes many incidents in one message when more come than it takes
	edits   bool // it shows how things stand in one place, which people can be led to
	private bool // its address may hold a credential: people only see the host
	// mentions are the forms of those whom its messages can call by name, as regular expressions; nil where they call
	// nobody.
	mentions []string
	acts     Source // what people do there comes back as events of this source; "" where nothing does

	keys []KindKey // beside kind
}

var kinds = []kindInfo{
	{
		kind: KindSlack, label: "Slack", one: "a Slack channel", digests: true, edits: true, acts: SourceSlack,
		mentions: []string{slackEverybodyForm, slackPersonForm},
		about:    "slack: one channel. The bot must be a member of it, or have the scope chat:write.public.",
		keys: []KindKey{
			{Name: "channel", Is: KeyAddress, Forms: []string{channelNameForm, channelIDForm}, Check: checkChannel,
				About:   "The channel's name with # as Slack shows it, in quotes, or its id.",
				Missing: `a channel's id, or its name with #: "#flow-ops"`,
				Hint:    "write the name with # as Slack shows it, or the id that begins with C or G",
				StandIn: "#channel", Any: "any value of the right form"},
			{Name: "allow", Is: KeyPeople, Forms: []string{slackPersonForm}, Check: checkSlackPerson,
				About: "Ids of the Slack users (U..., W...) and user groups (S...) who alone may press the buttons of its " +
					"messages. Without it everybody in the channel may.",
				Hint: "in Slack, copy the member id (U...) or the id of the user group (S...)"},
		},
	},
	{
		kind: KindPagerDuty, label: "PagerDuty", one: "a PagerDuty service", pages: true, keyed: true, acts: SourcePagerDuty,
		about: "pagerduty: one service.",
		keys: []KindKey{
			{Name: "routing_key", Is: KeyCredential, Forms: []string{routingKeyForm}, Check: checkRoutingKey,
				Noun: "a routing key",
				About: `The integration key of the service, for Events API v2. Keep it out of the file: ` +
					`"${PD_KEY}" is an environment variable, "${file:/run/secrets/key}" the content of a file.`,
				Missing: "the integration key of the service, for Events API v2",
				Hint:    "it is the integration key of the service, for Events API v2",
				StandIn: "00000000000000000000000000000000", Any: "32 zeros"},
		},
	},
	{
		kind: KindWebhook, label: "the webhook receiver", one: "a webhook", private: true,
		about: "webhook: a receiver of your own, which gets JSON that is signed as Standard Webhooks.",
		keys: []KindKey{
			{Name: "url", Is: KeyAddress, Forms: []string{httpsForm, loopbackForm}, Check: checkWebhookURL,
				About: `Where the messages are posted, over https. If it holds a secret, ` +
					`keep it out of the file: "${NAME}" or "${file:PATH}".`,
				Missing: `where messages are posted: "https://hooks.example.com/flows"`,
				Hint:    "it begins with https:// and has no user and no password in it",
				StandIn: "https://webhook.invalid/", Any: "https://webhook.invalid/"},
			{Name: "secret", Is: KeyCredential, Forms: []string{webhookSecretForm}, Check: checkWebhookSecret,
				Noun: "the secret of a webhook",
				About: `What messages are signed with: whsec_ and 24 to 64 bytes in base64. ` +
					`Keep it out of the file: "${NAME}" or "${file:PATH}".`,
				Missing: makeSecret, Hint: makeSecret,
				StandIn: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Any: "whsec_ and 32 times A"},
		},
	},
}

// KindKey is a key that the notifiers of a kind have in the rules file.
type KindKey struct {
	Name  string
	Is    KeyUse
	Forms []string // of a value, as regular expressions that the loader and JSON Schema read alike
	// Check says what is wrong with a value, "" for nothing; of an address as what follows the value in a sentence, and
	// what was perhaps meant. It quotes no credential.
	Check   func(text string) (problem, meant string)
	About   string // for whoever writes rules, in one or two sentences
	Missing string // what to write where it is missing
	Hint    string // what to write where it is wrong
	Noun    string // of a credential: "a routing key"
	StandIn string // a value that does where nobody is told anything
	Any     string // the same, for people
}

// KeyUse says what the value of a KindKey is.
type KeyUse int

// The uses of keys.
const (
	KeyAddress    KeyUse = iota // Target.Address; required
	KeyCredential               // Target.Credential; required
	KeyPeople                   // those who may act on what the notifier told
)

// Kinds lists every kind.
func Kinds() (all []Kind) {
	for i := range kinds {
		all = append(all, kinds[i].kind)
	}
	return all
}

// info returns what is known of a kind; nothing of one that there is not.
func (k Kind) info() *kindInfo {
	for i := range kinds {
		if kinds[i].kind == k {
			return &kinds[i]
		}
	}
	return &kindInfo{kind: k, label: string(k), one: string(k)}
}

// Known says whether there is such a kind.
func (k Kind) Known() bool { return slices.Contains(Kinds(), k) }

// Label returns the service as people write it: PagerDuty.
func (k Kind) Label() string { return k.info().label }

// One returns what one notifier of the kind is, with its article: a Slack channel.
func (k Kind) One() string { return k.info().one }

// About says in a sentence or two what a notifier of the kind is, for whoever writes rules.
func (k Kind) About() string { return k.info().about }

// Keys returns the keys of its notifiers in the rules file.
func (k Kind) Keys() []KindKey { return k.info().keys }

// Pages says that the service wakes people.
func (k Kind) Pages() bool { return k.info().pages }

// Keyed says that the service finds an incident by a key that we choose, so that it can be closed by
// somebody who never opened it.
func (k Kind) Keyed() bool { return k.info().keyed }

// Digests says that the service takes many incidents in one message when more come than it takes.
func (k Kind) Digests() bool { return k.info().digests }

// Edits says that the service shows how an incident stands in one place, which is kept up to date.
func (k Kind) Edits() bool { return k.info().edits }

// Mentions returns the forms of those whom its messages can call by name, as regular expressions; nil where they call
// nobody.
func (k Kind) Mentions() []string { return k.info().mentions }

// MentionForms returns those of every kind.
func MentionForms() (forms []string) {
	for i := range kinds {
		forms = append(forms, kinds[i].mentions...)
	}
	return forms
}

// Private says that an address of the kind may hold a credential: nobody is shown more than Target.Place.
func (k Kind) Private() bool { return k.info().private }

// Acts returns the source of what people do in the service; "" where nothing of that comes back.
func (k Kind) Acts() Source { return k.info().acts }

// Place names where the target is, for people: a channel, the host of a receiver, or nothing.
func (t *Target) Place() string {
	if !t.Kind.Private() {
		return t.Address
	}
	u, err := url.Parse(t.Address)
	if err != nil {
		return ""
	}
	return u.Host
}

// Forms of values.
const (
	channelNameForm = `#[^\s#,A-Z]{1,80}`
	channelIDForm   = `[CG][A-Z0-9]{8,30}`
	// slackEverybodyForm are those who are active in the channel, and all of its members.
	slackEverybodyForm = `here|channel`
	slackPersonForm    = `[USW][A-Z0-9]{7,30}`
	routingKeyForm     = `[A-Za-z0-9]{32}`
	httpsForm          = `https://[^\s/?#@]+([/?][^\s#]*)?`
	// only this machine is told without TLS
	loopbackForm      = `http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?([/?][^\s#]*)?`
	webhookSecretForm = `whsec_[A-Za-z0-9+/]{32,88}={0,2}`
)

// makeSecret says how to make the secret of a webhook.
const makeSecret = `make one with: echo "whsec_$(openssl rand -base64 32)"`

// Bounds of a webhook's secret, in bytes. Source: Standard Webhooks 1.0.0, signature scheme.
const (
	minWebhookSecret = 24
	maxWebhookSecret = 64
)

// maxWebhookURL is longer than what servers take.
const maxWebhookURL = 2048

var (
	channelName = regexp.MustCompile(`^` + channelNameForm + `$`)
	channelID   = regexp.MustCompile(`^` + channelIDForm + `$`)
	// channelLink is what Slack copies as the link of a channel, or of a message in it.
	channelLink = regexp.MustCompile(`^https://[^/]+/archives/(` + channelIDForm + `)(/|$)`)
	anyID       = regexp.MustCompile(`^[A-Z][A-Z0-9]{8,}$`)
	slackPerson = regexp.MustCompile(`^` + slackPersonForm + `$`)
	routingKey  = regexp.MustCompile(`^` + routingKeyForm + `$`)
	webhookURL  = regexp.MustCompile(`^(` + httpsForm + `|` + loopbackForm + `)$`)
)

func checkChannel(text string) (problem, meant string) {
	if channelName.MatchString(text) || channelID.MatchString(text) {
		return "", ""
	}
	name := "#" + strings.ToLower(strings.TrimPrefix(text, "#"))
	switch link := channelLink.FindStringSubmatch(text); {
	case link != nil:
		meant = link[1]
	case !anyID.MatchString(text) && channelName.MatchString(name):
		meant = name
	}
	return "is neither the name nor the id of a channel", meant
}

func checkSlackPerson(text string) (problem, _ string) {
	if !slackPerson.MatchString(text) {
		return "is no id of a Slack user or user group", ""
	}
	return "", ""
}

func checkRoutingKey(text string) (problem, _ string) {
	switch n := utf8.RuneCountInString(text); {
	case n != 32:
		return fmt.Sprintf("a routing key has 32 characters, and this one %d", n), ""
	case !routingKey.MatchString(text):
		return "a routing key has letters and digits only", ""
	}
	return "", ""
}

func checkWebhookURL(text string) (problem, _ string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return "is no https address", ""
	case u.User != nil:
		return "has a user or a password in it", ""
	case strings.Contains(text, "#"):
		return "has a part after #, which is never sent", ""
	case len(text) > maxWebhookURL:
		return fmt.Sprintf("is longer than %d characters", maxWebhookURL), ""
	case u.Scheme == "http" && !webhookURL.MatchString(text):
		return "is not https: everybody on the way could read along", ""
	case !webhookURL.MatchString(text):
		return "is no https address", ""
	}
	return "", ""
}

// webhookKey returns the key that the secret of a webhook stands for.
func webhookKey(secret Secret) (key []byte, ok bool) {
	encoded, ok := strings.CutPrefix(secret.Reveal(), "whsec_")
	if !ok {
		return nil, false
	}
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	return key, err == nil && len(key) >= minWebhookSecret && len(key) <= maxWebhookSecret
}

func checkWebhookSecret(text string) (problem, _ string) {
	if _, ok := webhookKey(Secret(text)); !ok {
		return fmt.Sprintf("the secret of a webhook is whsec_ and %d to %d bytes in base64",
			minWebhookSecret, maxWebhookSecret), ""
	}
	return "", ""
}
