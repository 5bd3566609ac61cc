package graph

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"flowbridge/router"
)

const (
	// maxBody and maxHeader bound an answer, in bytes. Graph sends some hundred.
	maxBody, maxHeader = 64 << 10, 64 << 10
	// maxName is how much of a name is shown, in characters. Meta lets accounts have 75, flows 200.
	maxName = 100
	// maxMessage is how much of what Graph says of a fault gets into the log.
	maxMessage = 200
)

// outcome is how a call ended.
type outcome string

const (
	asked       outcome = "ok"
	unknown     outcome = "unknown"     // Graph does not know the id, or the token may not see it
	badToken    outcome = "token"       // the token is refused
	forbidden   outcome = "permission"  // the token lacks a permission
	limited     outcome = "limited"     // too many calls
	timedOut    outcome = "timed_out"   // no answer in time
	unreachable outcome = "unreachable" // no answer
	redirected  outcome = "redirected"  // refused by us: it would carry the token to whoever it names
	odd         outcome = "failed"      // an answer that is none of these, or cannot be read
)

var outcomes = []outcome{asked, unknown, badToken, forbidden, limited, timedOut, unreachable, redirected, odd}

// ofAll says whether the next call would end in the same way, of whatever it asks.
func (o outcome) ofAll() bool { return o == badToken || o == limited }

// do says what a person can do about it; "" for nothing.
func (o outcome) do() string {
	switch o {
	case badToken:
		return "make a new token of a system user, and put it into META_ACCESS_TOKEN"
	case forbidden, unknown:
		return "give the system user of META_ACCESS_TOKEN the account, and its token whatsapp_business_management; " +
			"or name it in the rules"
	case limited:
		return "nothing: it is asked again in an hour"
	case redirected, odd, unreachable:
		return "look at META_GRAPH_URL, and at the proxy in between"
	}
	return ""
}

// fault is why a call gave no name. Neither the token nor an address is in it.
type fault struct {
	outcome outcome
	status  int // 0 without an answer
	code    int // Graph's; 0 for none
	text    string
}

func (f *fault) Error() string {
	text := f.text
	if f.code != 0 {
		text = strings.TrimSuffix(fmt.Sprintf("code %d: %s", f.code, text), ": ")
	}
	if f.status != 0 {
		text = strings.TrimSuffix(fmt.Sprintf("status %d, %s", f.status, text), ", ")
	}
	return text
}

func newHTTPClient(timeout time.Duration) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = maxHeader
	return &http.Client{
		Timeout:       timeout,
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// call asks for one name.
func (c *Client) call(ctx context.Context, k key, token router.Secret) (string, *fault) {
	status, body, f := c.get(ctx, k.id, fields[k.kind], token)
	if f != nil {
		return "", f
	}
	return read(k.kind, status, body, token)
}

// get asks for fields of an id, and returns the answer as it came.
func (c *Client) get(ctx context.Context, id, fields string, token router.Secret) (int, []byte, *fault) {
	return c.fetch(ctx, id, url.Values{"fields": {fields}}, token)
}

// fetch reads what stands at a path, and returns the answer as it came.
func (c *Client) fetch(ctx context.Context, path string, query url.Values, token router.Secret) (int, []byte, *fault) {
	address := c.address + "/" + path + "?" + query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, nil, &fault{outcome: odd, text: "META_GRAPH_URL is no address"}
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, unanswered(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return 0, nil, unanswered(err)
	case len(body) > maxBody:
		long := fmt.Sprintf("its answer is longer than %d KiB", maxBody>>10)
		return 0, nil, &fault{outcome: odd, status: resp.StatusCode, text: long}
	}
	return resp.StatusCode, body, nil
}

// read makes a name, or a fault, of an answer.
func read(kind Kind, status int, body []byte, token router.Secret) (string, *fault) {
	var said struct {
		Name     string `json:"name"`
		Number   string `json:"display_phone_number"`
		Verified string `json:"verified_name"`
	}
	if f := judge(status, body, token); f != nil {
		return "", f
	}
	if json.Unmarshal(body, &said) != nil {
		return "", &fault{outcome: odd, status: status, text: "its answer is no JSON of a name"}
	}
	name := said.Name
	if kind == Phone {
		name = cmp.Or(said.Number, said.Verified)
		if said.Number != "" && said.Verified != "" {
			name = said.Number + " (" + said.Verified + ")"
		}
	}
	if name = router.Shorten(router.OneLine(name), maxName); name == "" {
		return "", &fault{outcome: unknown, status: status, text: "it has no name"}
	}
	return name, nil
}

// Judge says what is wrong with an answer, and what a person can do about it; "" where it is well. The token is in
// neither.
func Judge(status int, body []byte, token router.Secret) (seen, do string) {
	if f := judge(status, body, token); f != nil {
		return f.Error(), f.outcome.do()
	}
	return "", ""
}

// judge returns nil where an answer holds what was asked for.
func judge(status int, body []byte, token router.Secret) *fault {
	var said struct {
		Error *struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	err := json.Unmarshal(body, &said)
	switch {
	case status/100 == 3:
		return &fault{outcome: redirected, status: status, text: "it redirects, which is not followed"}
	case err == nil && said.Error != nil:
		return refusal(status, said.Error.Code, said.Error.Message, token)
	case status/100 != 2:
		return refusal(status, 0, "", token)
	case err != nil:
		return &fault{outcome: odd, status: status, text: "its answer is no JSON"}
	}
	return nil
}

// refusal reads a fault of Graph's. Source of the codes: Meta, Cloud API error codes, and Graph API rate limits.
func refusal(status, code int, message string, token router.Secret) *fault {
	f := &fault{outcome: odd, status: status, code: code}
	switch {
	case code == 4, code == 17, code == 32, code == 613, code >= 80000 && code <= 80014,
		status == http.StatusTooManyRequests:
		f.outcome = limited
	case code == 190, code == 102, code == 104, code == 0 && status == http.StatusUnauthorized:
		f.outcome = badToken
		return f // without its words: "Malformed access token ..." quotes it
	case code == 10, code >= 200 && code <= 299, code == 3, code == 0 && status == http.StatusForbidden:
		f.outcome = forbidden
	case code == 100, code == 33, code == 803, status == http.StatusNotFound:
		f.outcome = unknown
	}
	f.text = router.Shorten(router.OneLine(hide(message, token)), maxMessage)
	return f
}

// unanswered says why there was no answer, without the address.
func unanswered(err error) *fault {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		if wrapped.Timeout() {
			return &fault{outcome: timedOut, text: "no answer in time"}
		}
		err = wrapped.Err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return &fault{outcome: timedOut, text: "no answer in time"}
	}
	return &fault{outcome: unreachable, text: router.Shorten(router.OneLine(err.Error()), maxMessage)}
}

// hide puts dots in the place of a token.
func hide(text string, token router.Secret) string {
	if !token.Hideable() {
		return text
	}
	return strings.ReplaceAll(text, token.Reveal(), token.String())
}
