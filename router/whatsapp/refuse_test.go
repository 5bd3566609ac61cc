package whatsapp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flowbridge/router"
)

func TestOnlyWellSignedPostsAreTaken(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{AppSecrets: []router.Secret{"old", secret}})
	body := []byte(strings.Replace(string(change("501", "1772438400", `{"event":"X","message":"R\u00e9servation"}`)), "{",
		"{ ", 1))
	for name, c := range map[string]struct {
		signature string
		want      int
	}{
		"the secret":       {Sign(secret, body), http.StatusOK},
		"the other secret": {Sign("old", body), http.StatusOK},
		"no signature":     {"", http.StatusUnauthorized},
		"somebody else's":  {Sign("other", body), http.StatusUnauthorized},
		"of other bytes": {Sign(secret, bytes.Replace(body, []byte(`\u00e9`), []byte("é"), 1)),
			http.StatusUnauthorized},
		"of nothing":            {Sign(secret, nil), http.StatusUnauthorized},
		"no hex":                {"sha256=" + strings.Repeat("z", 64), http.StatusUnauthorized},
		"the secret's SHA-1":    {"sha1=2fd4e1c67a2d28fced849ee1bb76e7391b93eb12", http.StatusUnauthorized},
		"with the empty secret": {Sign("", body), http.StatusUnauthorized},
	} {
		if resp, _ := in.send(t, body, c.signature); resp.StatusCode != c.want {
			t.Errorf("%s: answered %s", name, resp.Status)
		}
	}
	if len(in.journal.events) != 1 || in.journal.calls != 2 {
		t.Errorf("the journal was called %d times and holds %d events", in.journal.calls, len(in.journal.events))
	}
	if n := strings.Count(in.log.String(), "META_APP_SECRET"); n != 1 ||
		strings.Contains(in.log.String(), secret.Reveal()) {
		t.Errorf("the log speaks of the secret %d times, want once in ten seconds:\n%s", n, in.log)
	}
	in.counted(t, `# TYPE flowbridge_events_repeated_total counter
# HELP flowbridge_events_repeated_total Events dropped because they were stored before.
flowbridge_events_repeated_total 1`)
}

func TestTheOlderSignatureIsNeverEnough(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{})
	body := change("501", "1772438400", "{}")
	req := in.request(t, http.MethodPost, in.URL, body)
	req.Header.Set("X-Hub-Signature", Sign(secret, body))
	if resp, _ := in.do(t, req); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("answered %s", resp.Status)
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	req.Header[signatureHeader] = []string{Sign("other", body), Sign(secret, body)}
	if resp, _ := in.do(t, req); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("of two signatures one is wrong, but the answer is %s", resp.Status)
	}
	if in.journal.calls != 0 {
		t.Error("the journal was told")
	}
}

func TestAPostAsLargeAsMetasLimitIsTaken(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{})
	frame := len(change("501", "1772438400", `{"message":""}`))
	in.signed(t, change("501", "1772438400", `{"message":"`+strings.Repeat("x", 3<<20-frame)+`"}`), http.StatusOK)
	in.signed(t, change("501", "1772438401", `{"message":"`+strings.Repeat("x", 3<<20-frame+1)+`"}`),
		http.StatusRequestEntityTooLarge)
	if len(in.journal.events) != 1 || len(in.journal.events[0].Message) != 3<<20-frame {
		t.Errorf("the journal holds %d events", len(in.journal.events))
	}
}

// A sender that would go on for ever is answered and cut off.
func TestWhatIsTooLargeIsRefusedWithoutReadingTheRest(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{MaxBody: 1 << 10})
	for name, request := range map[string]string{
		"said so":     "Content-Length: 1000000000\r\n\r\n",
		"in chunks":   "Transfer-Encoding: chunked\r\n\r\n800\r\n" + strings.Repeat("x", 0x800) + "\r\n",
		"asked first": "Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", in.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: bridge\r\n%s: %s\r\n%s", signatureHeader, Sign(secret, nil), request)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close ||
				!strings.Contains(string(text), "at most 1024 bytes") {
				t.Errorf("answered %s %q, close %v, %v", resp.Status, text, resp.Close, err)
			}
			more := []byte("10000\r\n" + strings.Repeat("x", 0x10000) + "\r\n")
			sent := 0
			for err = nil; err == nil && sent < 64<<20; sent += len(more) { // net/http itself reads a little more
				_, err = conn.Write(more)
			}
			if err == nil {
				t.Errorf("%d bytes more were read", sent)
			}
		})
	}
}

func TestABodyThatDoesNotArriveIsNoEvent(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{})
	conn, err := net.Dial("tcp", in.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: bridge\r\n%s: %s\r\nContent-Length: 100\r\n\r\nhalf of it",
		signatureHeader, Sign(secret, nil))
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusBadRequest || in.journal.calls != 0 {
		t.Errorf("answered %+v, %v; the journal was called %d times", resp, err, in.journal.calls)
	}
}

func TestWhatCannotBeStoredIsRefusedWithATimeToComeBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		after string
		lines int // of the log, however many posts are refused
	}{
		"full":         {fmt.Errorf("append: %w", router.ErrBusy), "1", 1},
		"disk failure": {errors.New("disk is full"), "10", 1},
		"closed":       {router.ErrClosed, "10", 1},
		"interrupted":  {context.Canceled, "10", 0},
	} {
		t.Run(name, func(t *testing.T) {
			in := newIntake(t, Config{})
			in.journal.err = c.err
			resp := in.signed(t, change("501", "1772438400", "{}"), http.StatusServiceUnavailable)
			if got := resp.Header.Get("Retry-After"); got != c.after {
				t.Errorf("Retry-After %q, want %q", got, c.after)
			}
			in.signed(t, change("501", "1772438401", "{}"), http.StatusServiceUnavailable)
			if lines := strings.Count(in.log.String(), "level=ERROR"); lines != c.lines {
				t.Errorf("logged: %s", in.log)
			}
			in.signed(t, sample(t, Sample{Event: SampleMessage}), http.StatusOK) // which needs no storage
			in.journal.err = nil
			in.signed(t, change("501", "1772438400", "{}"), http.StatusOK)
			if len(in.journal.events) != 1 {
				t.Errorf("the journal holds %d events", len(in.journal.events))
			}
		})
	}
}

// stuck is a journal whose disk does not answer.
type stuck struct{}

func (stuck) Append(ctx context.Context, _ []router.Event) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func TestAPostDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Config{AppSecrets: []router.Secret{secret}, VerifyToken: token}, stuck{})
		if err != nil {
			t.Fatal(err)
		}
		body := change("501", "1772438400", "{}")
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header.Set(signatureHeader, Sign(secret, body))
		w := httptest.NewRecorder()
		started := time.Now()
		h.Receive(w, r)
		if took := time.Since(started); w.Code != http.StatusServiceUnavailable || took != storeTimeout {
			t.Errorf("answered %d after %s", w.Code, took)
		}
	})
}
