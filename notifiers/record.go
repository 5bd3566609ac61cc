package notifiers

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"flowbridge/router"
)

// Recorded is a transport that keeps what goes over the wire in the exchange of the request's context, where there is
// one. Headers are not kept.
type Recorded struct {
	http.RoundTripper
	// Private says that the address is a secret: of it only the host is kept.
	Private bool
	// Withheld says of a request that its answer holds what is not ours to keep, such as what people wrote in a channel.
	// Of such an answer nothing is kept unless it begins as a refusal. Nil: every answer is kept.
	Withheld func(*http.Request) bool
}

// withheld stands for an answer that is not kept.
const withheld = "(not kept: it may hold what people wrote)"

// RoundTrip makes the call.
func (t Recorded) RoundTrip(req *http.Request) (*http.Response, error) {
	exchange := router.ExchangeOf(req.Context())
	if exchange == nil {
		return t.RoundTripper.RoundTrip(req)
	}
	call := router.Call{Method: req.Method, URL: t.address(req.URL)}
	call.Request, call.RequestCut = requestText(req)
	began := time.Now()
	resp, err := t.RoundTripper.RoundTrip(req)
	if err != nil {
		call.Error, call.Took = Unanswered(err), time.Since(began)
		exchange.Add(call)
		return resp, err
	}
	call.Status = resp.StatusCode
	resp.Body = &recordedBody{ReadCloser: resp.Body, done: func(answer []byte, cut bool) {
		call.Answer, call.AnswerCut, call.Took = strings.ToValidUTF8(string(answer), "\uFFFD"), cut, time.Since(began)
		if t.Withheld != nil && t.Withheld(req) && !bytes.HasPrefix(answer, []byte(`{"ok":false`)) {
			call.Answer, call.AnswerCut = withheld, false
		}
		exchange.Add(call)
	}}
	return resp, nil
}

func (t Recorded) address(u *url.URL) string {
	if t.Private {
		return u.Scheme + "://" + u.Host + "/…"
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// recordedBody keeps the beginning of an answer, for as long as it is read.
type recordedBody struct {
	io.ReadCloser
	kept []byte
	cut  bool
	done func(answer []byte, cut bool) // nil once it was called
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	room := router.MaxAnswer + router.CutMargin - len(b.kept)
	b.kept = append(b.kept, p[:min(n, room)]...)
	b.cut = b.cut || n > room
	return n, err
}

func (b *recordedBody) Close() error {
	if b.done != nil {
		b.done(b.kept, b.cut)
		b.done = nil
	}
	return b.ReadCloser.Close()
}

// requestText returns the body of a request, or its query where it has none, a form as JSON.
func requestText(req *http.Request) (text string, cut bool) {
	const most = 8 * (router.MaxRequest + router.CutMargin) // a form is longer than what it says
	if req.Body == nil || req.Body == http.NoBody {
		return formText(req.URL.RawQuery), false
	}
	if req.GetBody == nil {
		return "", true
	}
	body, err := req.GetBody()
	if err != nil {
		return "", true
	}
	defer body.Close()
	var raw bytes.Buffer
	raw.Grow(int(min(max(req.ContentLength, 0), most)) + bytes.MinRead)
	n, err := raw.ReadFrom(io.LimitReader(body, most+1))
	if err != nil {
		return "", true
	}
	text, cut = string(raw.Bytes()[:min(n, most)]), n > most
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return formText(text), cut
	}
	return text, cut
}

// formText writes a form as a JSON object, sorted by the names of its fields; what is JSON already stays so. Fields
// that are credentials by their names are blanked.
func formText(form string) string {
	values, err := url.ParseQuery(form)
	if err != nil || len(values) == 0 {
		return "" // what cannot be read cannot be blanked
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	var out bytes.Buffer
	out.Grow(len(form))
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	quoted := func(text string) {
		_ = enc.Encode(text) // a text can be written
		out.Truncate(out.Len() - 1)
	}
	for i, name := range names {
		out.WriteByte("{,"[min(i, 1)])
		quoted(name)
		out.WriteByte(':')
		value := values.Get(name)
		switch {
		case name == "token":
			quoted(router.Secret(value).String())
		case (strings.HasPrefix(value, "{") || strings.HasPrefix(value, "[")) && json.Valid([]byte(value)):
			out.WriteString(value)
		default:
			quoted(value)
		}
	}
	out.WriteByte('}')
	return out.String()
}
