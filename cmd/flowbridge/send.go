package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"flowbridge/router"
	"flowbridge/router/rules"
	"flowbridge/router/rules/yamldoc"
	"flowbridge/router/whatsapp"
)

// sampleFlags say which event of Meta's is meant: the sample, and what of it is changed.
type sampleFlags struct {
	Event string `default:"ENDPOINT_ERROR_RATE" complete:"samples" help:"Which sample: ${samples}."`

	Flow       string   `default:"1987937931743377" help:"Flow: its id, or its name in the rules."`
	WABA       string   `name:"waba" default:"104996122399160" help:"WhatsApp Business Account: its id, or its name in the rules."`
	At         string   `help:"Meta's time of the event, RFC 3339. Default: now."`
	Threshold  quantity `placeholder:"10%" help:"10% or 5s; a bare number is percent, or milliseconds for latency."`
	AlertState string   `placeholder:"STATE" complete:"states" help:"ACTIVATED or DEACTIVATED; of the account, --change says it."`
	Value      quantity `placeholder:"14.28%" help:"What Meta measured: error rate or availability (14.28%), p90 latency (6.2s)."`
	ErrorType  string   `complete:"error-types" help:"Kind of error, such as timeout_error."`
	OldStatus  string   `placeholder:"STATUS" complete:"statuses" help:"Of FLOW_STATUS_CHANGE."`
	NewStatus  string   `placeholder:"STATUS" complete:"statuses" help:"Of FLOW_STATUS_CHANGE."`
	Change     string   `placeholder:"WORD" help:"Of what is about the account: Meta's word, as rules ask for it."`
	Phone      string   `placeholder:"NUMBER" help:"Of what is about a phone number: which, such as \"+1 555-010-0100\"."`
	Template   string   `placeholder:"NAME" help:"Of what is about a template: its name, also with its language, \"order_ready (en_US)\", or its id."`
	Force      bool     `help:"Take also what Meta never sends: other thresholds, states and statuses."`
}

// sampleGroup is what help calls them.
const sampleGroup = "The sample:"

// sampleWABA is the account of events that name none.
const sampleWABA = "104996122399160"

type sendCommand struct {
	sampleFlags `group:"The sample:"`

	File  string `type:"path" placeholder:"FILE" help:"Send this file as it is, instead of a sample; - is standard input."`
	Print bool   `help:"Print the post and do not send it."`
	Rules string `default:"rules.yaml" env:"FLOWBRIDGE_RULES" complete:"file" help:"Rules, for the names of flows; not read where --flow is an id."`
	Admin string `default:"http://127.0.0.1:9090" env:"FLOWBRIDGE_ADMIN" placeholder:"URL" help:"Admin address of the bridge, which is asked what came of it."`
	URL   string `name:"url" default:"http://127.0.0.1:8080/webhooks/whatsapp" help:"Where the bridge takes webhooks."`
}

// with says which of the flags was given beside something that they do not change.
func (sampleFlags) with(line *kong.Context, other string) error {
	for _, given := range line.Path {
		if flag := given.Flag; flag != nil && flag.Group != nil && flag.Group.Key == sampleGroup {
			return wrongUsage("--%s changes the sample, not %s: leave out one of them", flag.Name, other)
		}
	}
	return nil
}

// Run builds a post, signs it with META_APP_SECRET as Meta would, sends it and says what came back.
func (c sendCommand) Run(ctx context.Context, p *program, line *kong.Context) error {
	if c.File != "" {
		if err := c.with(line, "--file"); err != nil {
			return err
		}
	}
	if u, err := url.Parse(c.URL); !c.Print && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return wrongUsage("--url: %q is no http or https address: write it as http://127.0.0.1:8080/webhooks/whatsapp", c.URL)
	}
	if err := c.check(line); err != nil {
		return err
	}
	body, err := c.body(p)
	if err != nil {
		return err
	}
	if c.Print {
		_, err := fmt.Fprintf(p.Stdout, "%s\n", body)
		return err
	}
	secrets, err := p.secrets("META_APP_SECRET")
	if err != nil {
		return err
	}
	if len(secrets) == 0 {
		return errors.New("META_APP_SECRET is not set: give the bridge's own, or it will refuse the signature")
	}
	status, answer, took, err := postSigned(ctx, newHTTPClient(0), c.URL, secrets[0], body)
	if err != nil {
		return fmt.Errorf("%w (is the bridge running there? name it with --url)", err)
	}
	fmt.Fprintf(p.Stdout, "%s in %s%s\n", status, took.Round(time.Millisecond/10), answer)
	if !strings.HasPrefix(status, "200") {
		return errFault
	}
	return c.outcome(ctx, p, body)
}

func (c sendCommand) body(p *program) ([]byte, error) {
	if c.File == "" {
		if err := c.named(func() (*rules.Rules, error) { return p.loadTrialRules(c.Rules, nil) }); err != nil {
			return nil, err
		}
		return c.sampleFlags.body(time.Now())
	}
	return p.readInput(c.File, maxEventFile)
}

// time returns when the sample happens: without --at it is now.
func (c sampleFlags) time(now time.Time) (time.Time, error) {
	if c.At == "" {
		return now, nil
	}
	at, err := time.Parse(time.RFC3339, c.At)
	if err != nil {
		return now, wrongUsage("--at: %q is no RFC 3339 time, such as 2026-03-02T08:00:00Z", c.At)
	}
	if first := whatsapp.Earliest(); at.Before(first) && !c.Force {
		return now, wrongUsage("--at: Meta sent nothing before %s, and an event that says so is taken to be of now; use a "+
			"later time", first.Format(time.RFC3339))
	}
	return at.UTC(), nil
}

// body returns the post that the flags describe; without --at it happens now.
func (c sampleFlags) body(now time.Time) ([]byte, error) {
	at, err := c.time(now)
	if err != nil {
		return nil, err
	}
	body, err := whatsapp.Sample{
		Event: c.Event, WABA: c.WABA, Flow: c.Flow, Time: at, Threshold: c.Threshold.inUnit(), AlertState: c.AlertState,
		Value: c.Value.inUnit(), ErrorType: c.ErrorType, OldStatus: c.OldStatus, NewStatus: c.NewStatus, Change: c.Change,
		Phone: c.Phone, Template: c.Template,
	}.Body()
	if unknown, ok := errors.AsType[*whatsapp.ChangeError](err); ok {
		if hint := yamldoc.DidYouMean(unknown.Change, unknown.Known); hint != "" {
			return nil, wrongUsage("--change: %s has no %q: %s", unknown.Event, unknown.Change, hint)
		}
		return nil, wrongUsage("--change: %w", unknown)
	}
	if err != nil {
		return nil, wrongUsage("--event: %w", err)
	}
	return body, nil
}

// changePost wraps a change into the post that Meta would send.
func changePost(waba string, at time.Time, change json.RawMessage) ([]byte, error) {
	return json.Marshal(map[string]any{"object": "whatsapp_business_account", "entry": []any{map[string]any{
		"id": waba, "time": at.Unix(), "changes": []any{change},
	}}})
}

// newChange is a change of a field of the account.
func newChange(field string, value json.RawMessage) (json.RawMessage, error) {
	return json.Marshal(map[string]any{"field": field, "value": value})
}

// postSigned posts a webhook as Meta does. answer is what came back beside the status, ready to be printed.
func postSigned(ctx context.Context, client *http.Client, url string, secret router.Secret,
	body []byte) (status, answer string, took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", "", 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Hub-Signature-256", whatsapp.Sign(secret, body))
	started := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return "", "", 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return "", "", 0, err
	}
	if said := strings.TrimSpace(string(text)); said != "" {
		answer = ": " + said
	}
	if after := resp.Header.Get("Retry-After"); after != "" {
		answer += " (Retry-After: " + after + ")"
	}
	return cmp.Or(resp.Status, "no status"), answer, time.Since(started), nil
}
