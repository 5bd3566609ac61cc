package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"flowbridge/router"
)

// adminFlags are what every command has that speaks to a running bridge.
type adminFlags struct {
	Admin string `default:"http://127.0.0.1:9090" env:"FLOWBRIDGE_ADMIN" placeholder:"URL" help:"Admin address of the bridge: a URL, or host:port as serve takes it."`
	JSON  bool   `name:"json" help:"Print what the API answers, for scripts."`
}

const (
	// adminTimeout bounds one call of the API, which itself gives up after ten seconds.
	adminTimeout = 15 * time.Second
	// maxAdminAnswer bounds what is read of an answer: 500 incidents with long timelines.
	maxAdminAnswer = 64 << 20
)

// adminClient speaks to the admin API of a bridge.
type adminClient struct {
	base  string
	token router.Secret
	http  *http.Client
}

// adminError is an answer that says no.
type adminError struct {
	Status int
	Text   string
}

func (e *adminError) Error() string { return e.Text }

// client returns a client of the bridge that the flags name.
func (f adminFlags) client(p *program) (*adminClient, error) {
	return p.adminClient("--admin", f.Admin)
}

// adminClient returns a client of the bridge at the address that a flag gives, with the token of the environment.
func (p *program) adminClient(flag, address string) (*adminClient, error) {
	base, err := p.adminURL(address)
	if err != nil {
		return nil, wrongUsage("%s: %w", flag, err)
	}
	token, err := p.secret(adminToken)
	if err == nil && token == "" {
		token, err = p.secret(viewToken) // it is good for looking
	}
	if err != nil {
		return nil, err
	}
	return &adminClient{base: base, token: token, http: newHTTPClient(adminTimeout)}, nil
}

// adminURL makes a base URL of what people give, in the environment that serve has: with a certificate for the admin
// address, host:port speaks TLS.
func (p *program) adminURL(address string) (string, error) {
	base, err := adminURL(address)
	if rest, plain := strings.CutPrefix(base, "http://"); plain && !strings.Contains(address, "://") &&
		p.setting("FLOWBRIDGE_ADMIN_TLS_CERT") != "" {
		base = "https://" + rest
	}
	return base, err
}

// adminURL makes a base URL of what people give: a URL, or the address that serve listens on.
func adminURL(address string) (string, error) {
	address = strings.TrimSpace(address)
	if !strings.Contains(address, "://") {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return "", fmt.Errorf("%q is neither a URL, such as http://127.0.0.1:9090, nor host:port", address)
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1" // it listens on every address
		}
		return "http://" + net.JoinHostPort(host, port), nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" {
		return "", errors.New("give a URL such as https://bridge.example.com, without a password, a query or a fragment")
	}
	return strings.TrimRight(address, "/"), nil
}

// call asks for path with a method. in, if not nil, is sent as JSON; the answer is read into out. An answer that says
// no is an *adminError.
func (c *adminClient) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreached(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAdminAnswer))
	if err != nil {
		return c.unreached(err)
	}
	if resp.StatusCode >= 300 {
		return c.refused(resp, data)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return c.stranger(resp)
	}
	return nil
}

// unreached says what to do when nobody answered.
func (c *adminClient) unreached(err error) error {
	hint := "is it running there? Name its admin address with --admin or FLOWBRIDGE_ADMIN"
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		hint = "give --admin as https:// with a name of its certificate; who signed that is looked for in the system's " +
			"roots, or in SSL_CERT_FILE"
	}
	if fault, ok := errors.AsType[*url.Error](err); ok {
		if fault.Timeout() {
			return fmt.Errorf("the bridge at %s did not answer within %s", c.base, adminTimeout)
		}
		err = fault.Err
	}
	return fmt.Errorf("no bridge answers at %s: %w (%s)", c.base, err, hint)
}

// refused says what to do about an answer that says no.
func (c *adminClient) refused(resp *http.Response, data []byte) error {
	var said struct{ Error string }
	if resp.StatusCode == http.StatusBadRequest && bytes.Contains(data, []byte("HTTP request to an HTTPS server")) {
		return fmt.Errorf("the bridge at %s speaks TLS: give --admin as https://, with a name of its certificate", c.base)
	}
	if json.Unmarshal(data, &said) != nil || said.Error == "" {
		return c.stranger(resp)
	}
	text := clean(said.Error)
	switch {
	case resp.StatusCode == http.StatusUnauthorized && c.token == "":
		text = "the bridge wants its admin token: set FLOWBRIDGE_ADMIN_TOKEN, or FLOWBRIDGE_ADMIN_TOKEN_FILE, to the one " +
			"that it was started with"
	case resp.StatusCode == http.StatusUnauthorized:
		text = "the bridge does not take this FLOWBRIDGE_ADMIN_TOKEN: give the one that it was started with"
	}
	return &adminError{Status: resp.StatusCode, Text: text}
}

func (c *adminClient) stranger(resp *http.Response) error {
	kind := cmp.Or(clean(resp.Header.Get("Content-Type")), "something without a type")
	return fmt.Errorf(
		"what answers at %s is no admin API of flowbridge: %s, %s (its public address, --listen, is another one)", c.base,
		resp.Status, kind)
}

// mostListed is how many the API lists at once.
const mostListed = 500

// checkLimit refuses a --limit that the API does not take.
func checkLimit(limit int) error {
	if limit < 1 || limit > mostListed {
		return wrongUsage("--limit: %d is no number from 1 to %d", limit, mostListed)
	}
	return nil
}

// asUsage makes wrong usage of a refusal of what flags ask for: the bridge reads them.
func asUsage(err error) error {
	if refusal, ok := errors.AsType[*adminError](err); ok && refusal.Status == http.StatusBadRequest {
		return wrongUsage("%w", refusal)
	}
	return err
}

// printJSON prints a value for scripts.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printTable prints rows for people, aligned, the head first. A cell with nothing in it is a dash.
func printTable(w io.Writer, rows [][]string) error {
	for _, row := range rows {
		for i, cell := range row {
			row[i] = cmp.Or(clean(cell), "-")
		}
	}
	return printAligned(w, rows)
}

// printAligned prints rows of cells, each column as wide as its widest cell.
func printAligned(w io.Writer, rows [][]string) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if _, err := fmt.Fprintln(out, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return out.Flush()
}

// counted writes how many there are of something: "1 mistake", "3 stories".
func counted(n int, what string) string { return fmt.Sprintf("%d %s", n, plural(what, n)) }

// plural writes a word for a number of things.
func plural(word string, n int) string {
	stem, y := strings.CutSuffix(word, "y")
	switch {
	case n == 1:
		return word
	case y:
		return stem + "ies"
	}
	return word + "s"
}

// clean keeps what others wrote on one line, and from steering the terminal.
func clean(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r): // such as those that turn the direction of writing
			return -1
		}
		return r
	}, s)), " ")
}

// ago writes how long something is past or, without a sign, will last.
func ago(now time.Time, t *time.Time) string {
	if t == nil {
		return ""
	}
	return router.FormatDuration(now.Sub(*t).Abs())
}

// clock writes a time for people, in their own zone and with its name.
func clock(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 MST")
}

// user is who sits at the terminal.
func (p *program) user(given string) string {
	return cmp.Or(strings.TrimSpace(given), p.setting("USER"), p.setting("USERNAME"))
}
