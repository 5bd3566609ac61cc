package slack

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"flowbridge/notifiers"
)

// class is what an answer means for what we do next.
type class int

const (
	transient class = iota // nothing was done: try again
	ambiguous              // it may have been done: look, then try again
	limited                // nothing was done: try again when the service says
	refused                // a person must act
	payload                // never send this message again: say it in plain words
	gone                   // the message is no more: post it anew
	frozen                 // the message is there and cannot be edited
	mute                   // the thread takes no replies
	unknown                // as transient, for an hour; then as refused
)

// failure is a call that did not succeed. Its text holds no secret.
type failure struct {
	method string
	class  class
	code   string        // Slack's, or our words
	detail string        // more of Slack's words; may be empty
	hint   string        // what a person can do; may be empty
	after  time.Duration // of limited
}

func (f *failure) Error() string { return "Slack " + f.method + ": " + f.said() }

func (f *failure) said() string {
	if f.detail == "" {
		return f.code
	}
	return f.code + " (" + f.detail + ")"
}

// is says whether f, which may be nil, is of class c.
func (f *failure) is(c class) bool { return f != nil && f.class == c }

// soon says whether the same call may succeed in a while.
func (f *failure) soon() bool { return f.is(transient) || f.is(ambiguous) || f.is(limited) }

// disowns says that Slack does not take our token for anybody's: what we asked it does not know.
func (f *failure) disowns() bool { return f.is(refused) && strings.HasPrefix(f.hint, hintToken) }

// nowhere says that the channel is not there, for us: nothing can be told in it.
func (f *failure) nowhere() bool {
	return f.is(refused) && (f.hint == hintChannel || f.hint == hintArchive)
}

// What a person can do about a refusal.
const (
	hintToken = "set SLACK_BOT_TOKEN to the bot token (xoxb-...) of a Slack app that is installed, start flowbridge " +
		"again, and retry this delivery"
	// Slack says invalid_auth of a good token, too, that is used from elsewhere.
	hintAuth = hintToken + "; where the app restricts API tokens to IP addresses, this machine's must be among them"
	hintOrg  = "the app is installed for a whole organisation: give the channel by its id (C...) in the rules file, and " +
		"retry this delivery"
	hintScope = "add the scope under OAuth & Permissions of the Slack app, install the app again, and retry this " +
		"delivery"
	hintChannel = "check the notifier's channel in the rules file; a private channel must first invite the bot: " +
		"/invite @flowbridge"
	hintInvite = "invite the bot: write /invite @flowbridge in the channel, or give the app the scope channels:join, " +
		"and retry this delivery"
	hintArchive = "unarchive the channel, or name another one in the rules file, and retry this delivery"
	hintPolicy  = "ask an administrator of the workspace to let the app post there, and retry this delivery"
	hintPayload = "Slack takes neither the card nor its plain words: this is a fault in flowbridge"
	hintUnknown = "flowbridge does not know this answer and has tried for an hour; see Slack's status page, then retry " +
		"this delivery"
	hintGrant  = "ask an administrator of the organisation to let the app into this workspace, and retry this delivery"
	notSlacks  = "not an answer of Slack's: " + checkWay
	checkWay   = "check the network, the proxy and SLACK_API_URL"
	checkTrust = "check the clock and the CA certificates of this machine, and the proxy"
)

// answers is what Slack's error codes mean. Source: the error tables of the methods that we call.
var answers = map[string]struct {
	class class
	hint  string
}{
	"service_unavailable": {transient, ""},
	"request_timeout":     {transient, ""},
	"ratelimited":         {transient, ""},
	"rate_limited":        {transient, ""},
	// Slack moves something about.
	"team_added_to_org":          {transient, ""},
	"external_channel_migrating": {transient, ""},
	"org_login_required":         {transient, ""},
	// Of both Slack says that some aspect of the operation may have succeeded.
	"internal_error": {ambiguous, ""},
	"fatal_error":    {ambiguous, ""},
	// It goes by itself while a workspace changes hands, and else needs a person.
	"team_access_not_granted": {unknown, hintGrant},

	"invalid_auth":           {refused, hintAuth},
	"accesslimited":          {refused, hintAuth},
	"not_authed":             {refused, hintToken},
	"account_inactive":       {refused, hintToken},
	"token_revoked":          {refused, hintToken},
	"token_expired":          {refused, hintToken},
	"not_allowed_token_type": {refused, hintToken},
	"missing_scope":          {refused, hintScope},
	"no_permission":          {refused, hintScope},
	"channel_not_found":      {refused, hintChannel},
	"team_not_found":         {refused, hintOrg}, // a name of a channel, with a token of many workspaces
	"not_in_channel":         {refused, hintInvite},
	"is_archived":            {refused, hintArchive},
	"is_inactive":            {refused, hintArchive}, // chat.update: it is frozen, archived or deleted
	"restricted_action":      {refused, hintPolicy},
	"ekm_access_denied":      {refused, hintPolicy},
	"access_denied":          {refused, hintPolicy},

	"invalid_blocks":                    {payload, hintPayload},
	"invalid_blocks_format":             {payload, hintPayload},
	"invalid_attachments":               {payload, hintPayload},
	"invalid_arguments":                 {payload, hintPayload},
	"too_many_attachments":              {payload, hintPayload},
	"attachment_payload_limit_exceeded": {payload, hintPayload},
	"msg_too_long":                      {payload, hintPayload},
	"msg_blocks_too_long":               {payload, hintPayload},
	"no_text":                           {payload, hintPayload},
	"metadata_too_large":                {payload, hintPayload},
	"invalid_metadata_format":           {payload, hintPayload},
	"invalid_metadata_schema":           {payload, hintPayload},
	"metadata_must_be_sent_from_app":    {payload, hintPayload},

	"message_not_found": {gone, ""},
	"thread_not_found":  {gone, ""},

	"cant_update_message": {frozen, hintPolicy},
	"edit_window_closed":  {frozen, hintPolicy},

	"cannot_reply_to_message":                  {mute, hintPolicy},
	"restricted_action_thread_locked":          {mute, hintPolicy},
	"restricted_action_non_threadable_channel": {mute, hintPolicy},
}

// read turns an error of the library into a failure; nil stays nil. Only words that we know come through:
// an error of net/http names the address that was called, which may hold a password.
func read(method string, err error) *failure {
	if err == nil {
		return nil
	}
	f := &failure{method: method, class: ambiguous}
	if busy, ok := errors.AsType[busyError](err); ok {
		f.class, f.code, f.after = limited, busy.Error(), busy.after
		if f.after == 0 { // the queue knows better when than we do
			f.class, f.code = transient, "HTTP 429 Too Many Requests"
		}
		return f
	}
	if foreign, ok := errors.AsType[foreignError](err); ok { // from before Slack, or after: it may have been done
		f.code, f.detail = foreign.Error(), notSlacks
		return f
	}
	if said, ok := errors.AsType[slack.SlackErrorResponse](err); ok {
		f.answer(said)
		return f
	}
	_, onTheWire := errors.AsType[*url.Error](err)
	op, _ := errors.AsType[*net.OpError](err)
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(err, errLongHandshake):
		f.class, f.code = transient, errLongHandshake.Error()
	case untrusted:
		f.class, f.code, f.detail = transient, "the certificate of the API does not verify", checkTrust
	case op != nil && op.Op == "dial":
		f.class, f.code, f.detail = transient, "cannot be reached", checkWay
	case errors.Is(err, context.Canceled):
		f.code = "cut short"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		f.code = "no answer in time"
	case onTheWire:
		f.code = "the connection broke"
	default:
		f.code = "the answer could not be read"
	}
	return f
}

// answer reads an ok:false.
func (f *failure) answer(said slack.SlackErrorResponse) {
	f.code = said.Err
	known, ok := answers[said.Err]
	switch {
	case ok:
		f.class, f.hint = known.class, known.hint
	case strings.HasPrefix(said.Err, "restricted_action"): // and what exactly is restricted
		f.class, f.hint = refused, hintPolicy
	default:
		f.class, f.hint = unknown, hintUnknown
	}
	if said.Needed != "" {
		f.detail = "needed: " + said.Needed
	} else if len(said.ResponseMetadata.Messages) > 0 {
		f.detail = said.ResponseMetadata.Messages[0]
	}
}

// verdict says what the queue does after a failure; since is when the first failed since the last success, zero where
// this is the first.
func (s *Notifier) verdict(f *failure, since time.Time) error {
	// Slack's words are its own. They never held our token, but nothing keeps a proxy from echoing it.
	hide := s.clients.hider()
	f.code, f.detail = cut(hide.Replace(f.code), lineText), cut(hide.Replace(f.detail), lineText)
	long := !since.IsZero() && s.cfg.Now().Sub(since) >= patience
	switch {
	case f.class == limited:
		return &notifiers.Later{Err: f, At: s.cfg.Now().Add(f.after)}
	case f.class == refused, f.class == payload, f.class == unknown && long:
		return &notifiers.Refused{Service: "Slack", Said: f.said(), Hint: f.hint, Gone: f.nowhere()}
	}
	return f
}
