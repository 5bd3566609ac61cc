package whatsapp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
)

// receiver is the one that had the callback URL before. It answers as it is told, 200 if by nothing.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	got    []heard
	answer func(w http.ResponseWriter, r *http.Request)
}

// heard is a post that reached the receiver.
type heard struct {
	Body   string
	Header http.Header
}

func newReceiver(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	rec := &receiver{answer: answer}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		rec.mu.Lock()
		rec.got = append(rec.got, heard{string(body), r.Header})
		answer := rec.answer
		rec.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(rec.Close)
	return rec
}

func (rec *receiver) heard() []heard {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return append([]heard(nil), rec.got...)
}

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func TestTheReceiverBehindGetsTheBytesAndTheSignatures(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, nil)
	in := newIntake(t, Config{Forward: rec.URL + "/old?hook=7"})
	body := []byte(
		"{ \"entry\": [{\"id\":\"501\",\"changes\":[{\"field\":\"messages\",\"value\":{\"t\":\"R\\u00e9s \\/ \xff\"}}]}] }\n")
	req := in.request(t, http.MethodPost, in.URL, body)
	for name, value := range map[string]string{
		"X-Hub-Signature-256": Sign(secret, body), "X-Hub-Signature": "sha1=2fd4",
		"Content-Type": "application/json; charset=x",
		"User-Agent":   "facebookexternalua", "Authorization": "Bearer strange", "Cookie": "a=b", "X-Other": "1",
	} {
		req.Header.Set(name, value)
	}
	if resp, text := in.do(t, req); resp.StatusCode != http.StatusOK || text != "" {
		t.Errorf("answered %s %q", resp.Status, text)
	}
	want := []heard{{string(body), http.Header{
		"X-Hub-Signature-256": {Sign(secret, body)}, "X-Hub-Signature": {"sha1=2fd4"},
		"Content-Type": {"application/json; charset=x"},
		"User-Agent":   {"facebookexternalua"}, "X-Flowbridge-Forwarded": {"1"}, "Content-Length": {fmt.Sprint(len(body))},
	}}}
	if diff := cmp.Diff(want, rec.heard()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if in.journal.calls != 0 {
		t.Error("a message touched the disk")
	}
}

func TestMetaGetsTheReceiversStatus(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, nil)
	in := newIntake(t, Config{Forward: rec.URL})
	body := change("501", "1772438400", `{"event":"CLIENT_ERROR_RATE"}`)
	for _, c := range []struct {
		answer func(http.ResponseWriter, *http.Request)
		want   int
	}{
		{status(http.StatusNoContent), http.StatusNoContent},
		{status(http.StatusUnauthorized), http.StatusUnauthorized},
		{status(http.StatusInternalServerError), http.StatusInternalServerError},
		{func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, rec.URL+"/elsewhere", http.StatusTemporaryRedirect)
		}, http.StatusBadGateway},
		{func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, http.StatusBadGateway},
		{func(w http.ResponseWriter, _ *http.Request) { // an endless answer is not read to its end
			w.WriteHeader(http.StatusServiceUnavailable)
			for range 200 {
				_, _ = io.WriteString(w, strings.Repeat("the receiver's own words ", 1000))
			}
		}, http.StatusServiceUnavailable},
		{status(http.StatusOK), http.StatusOK},
	} {
		rec.mu.Lock()
		rec.answer = c.answer
		rec.mu.Unlock()
		resp, text := in.send(t, body, Sign(secret, body))
		if resp.StatusCode != c.want || strings.Contains(text, "own words") || len(text) > 200 {
			t.Errorf("answered %s %.200s, want %d", resp.Status, text, c.want)
		}
	}
	if len(in.journal.events) != 1 {
		t.Errorf("%d events are stored, want one: repeats are dropped", len(in.journal.events))
	}
	for _, h := range rec.heard() {
		if h.Body != string(body) {
			t.Errorf("the receiver got %q", h.Body)
		}
	}
	in.counted(t, `# TYPE flowbridge_forwarded_total counter
# HELP flowbridge_forwarded_total Posts for the receiver behind --forward, by how that ended.
flowbridge_forwarded_total{result="accepted"} 2
flowbridge_forwarded_total{result="broken"} 0
flowbridge_forwarded_total{result="full"} 0
flowbridge_forwarded_total{result="loop"} 0
flowbridge_forwarded_total{result="redirected"} 1
flowbridge_forwarded_total{result="refused"} 3
flowbridge_forwarded_total{result="timed_out"} 0
flowbridge_forwarded_total{result="unreachable"} 1`)
}

func TestTheReceiversRetryAfterComesThrough(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "17")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	in := newIntake(t, Config{Forward: rec.URL})
	resp := in.signed(t, sample(t, Sample{Event: SampleMessage}), http.StatusTooManyRequests)
	if got := resp.Header.Get("Retry-After"); got != "17" {
		t.Errorf("Retry-After is %q", got)
	}
}

// A failing disk of ours must not keep the receiver's messages from it, and Meta must repeat what we did not store.
func TestWhatWeCouldNotStoreIsRepeatedWhateverTheReceiverSaid(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, nil)
	in := newIntake(t, Config{Forward: rec.URL})
	in.journal.err = errors.New("disk full")
	in.signed(t, change("501", "1772438400", "{}"), http.StatusServiceUnavailable)
	if n := len(rec.heard()); n != 1 {
		t.Errorf("the receiver heard of %d posts", n)
	}
}

func TestOnlyVerifiedPostsReachTheReceiver(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, nil)
	in := newIntake(t, Config{Forward: rec.URL, MaxBody: 1 << 10})
	body := sample(t, Sample{Event: SampleMessage})
	for _, signature := range []string{"", Sign("other", body)} {
		if resp, _ := in.send(t, body, signature); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("answered %s", resp.Status)
		}
	}
	in.signed(t, make([]byte, 2<<10), http.StatusRequestEntityTooLarge)
	if resp, _ := in.do(t, in.request(t, http.MethodGet, in.URL+"?hub.mode=subscribe&hub.verify_token=wrong",
		nil)); resp.StatusCode != http.StatusForbidden {
		t.Errorf("the handshake was answered %s", resp.Status)
	}
	if got := rec.heard(); len(got) != 0 {
		t.Errorf("the receiver heard of %+v", got)
	}
}

// TestADrillDoesNotReachTheReceiver: it knows nothing of drills, and would take it for real.
func TestADrillDoesNotReachTheReceiver(t *testing.T) {
	t.Parallel()
	rec := newReceiver(t, status(http.StatusTeapot))
	in := newIntake(t, Config{Forward: rec.URL})
	body, err := Drill("77", noon, router.Activated, nil)
	if err != nil {
		t.Fatal(err)
	}
	in.signed(t, body, http.StatusOK)
	if len(rec.heard()) != 0 || len(in.journal.events) != 1 {
		t.Errorf("the receiver heard of %+v, the journal of %+v", rec.heard(), in.journal.events)
	}
}

// A receiver that hangs is given up, holds few posts at a time, and no event waits for it to be stored.
func TestAReceiverThatHangsHoldsNothingUp(t *testing.T) {
	t.Parallel()
	hanging, release := make(chan bool, 10), make(chan bool)
	rec := newReceiver(t, func(http.ResponseWriter, *http.Request) {
		hanging <- true
		<-release
	})
	in := newIntake(t, Config{Forward: rec.URL, ForwardAtOnce: 2, ForwardTimeout: 30 * time.Second})
	first := make(chan int, 2)
	for i := range 2 {
		body := change("501", fmt.Sprint(1772438400+i), "{}")
		go func() {
			resp, _ := in.send(t, body, Sign(secret, body))
			first <- resp.StatusCode
		}()
	}
	<-hanging
	<-hanging
	third := change("501", "1772438500", "{}")
	if resp := in.signed(t, third, http.StatusServiceUnavailable); resp.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After is %q", resp.Header.Get("Retry-After"))
	}
	in.journal.mu.Lock()
	if n := len(in.journal.events); n != 3 {
		t.Errorf("%d events are stored while the receiver hangs, want 3", n)
	}
	in.journal.mu.Unlock()
	close(release)
	for range 2 {
		if code := <-first; code != http.StatusOK {
			t.Errorf("answered %d", code)
		}
	}
	in.signed(t, third, http.StatusOK) // Meta's repeat
	if n := len(in.journal.events); n != 3 {
		t.Errorf("%d events are stored, want 3: the repeat is dropped", n)
	}
}

func TestAReceiverThatIsTooSlowIsGivenUp(t *testing.T) {
	t.Parallel()
	release := make(chan bool)
	rec := newReceiver(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	in := newIntake(t, Config{Forward: rec.URL, ForwardTimeout: 20 * time.Millisecond})
	in.signed(t, change("501", "1772438400", "{}"), http.StatusGatewayTimeout)
	if n := len(in.journal.events); n != 1 {
		t.Errorf("%d events are stored", n)
	}
}

func TestWhenMetaGoesAwayTheReceiverIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	hanging, over := make(chan bool), make(chan bool)
	rec := newReceiver(t, func(_ http.ResponseWriter, r *http.Request) {
		hanging <- true
		<-r.Context().Done()
		over <- true
	})
	in := newIntake(t, Config{Forward: rec.URL, ForwardTimeout: time.Hour})
	body := change("501", "1772438400", "{}")
	ctx, cancel := context.WithCancel(t.Context())
	req := in.request(t, http.MethodPost, in.URL, body).WithContext(ctx)
	req.Header.Set(signatureHeader, Sign(secret, body))
	ended := make(chan error)
	go func() {
		_, err := in.Client().Do(req)
		ended <- err
	}()
	<-hanging
	cancel()
	<-ended
	<-over
}

func TestAReceiverThatIsNotThereIsABadGateway(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{Forward: "http://127.0.0.1:1/?token=shibboleth"})
	in.signed(t, change("501", "1772438400", "{}"), http.StatusBadGateway)
	in.signed(t, change("501", "1772438401", "{}"), http.StatusBadGateway)
	if log := in.log.String(); strings.Count(log, "--forward") != 1 || strings.Contains(log, "shibboleth") {
		t.Errorf("want one line in ten seconds, without the query:\n%s", log)
	}
}

// An address that leads back here would be called for ever.
func TestALoopIsSeenAtItsFirstTurn(t *testing.T) {
	t.Parallel()
	var in *intake
	turns := 0
	rec := newReceiver(t, func(w http.ResponseWriter, r *http.Request) {
		turns++
		body := in.lastBody
		req := in.request(t, http.MethodPost, in.URL, body)
		req.Header = r.Header.Clone() // a proxy in front of the bridge
		resp, _ := in.do(t, req)
		w.WriteHeader(resp.StatusCode)
	})
	in = newIntake(t, Config{Forward: rec.URL})
	in.lastBody = change("501", "1772438400", "{}")
	in.signed(t, in.lastBody, http.StatusLoopDetected)
	if turns != 1 || len(in.journal.events) != 1 {
		t.Errorf("%d turns, %d events", turns, len(in.journal.events))
	}
	if !strings.Contains(in.log.String(), "--forward leads back to this bridge") {
		t.Errorf("the log says\n%s", in.log)
	}
}

// The library would refuse a status that no server may give.
func TestAnOddStatusIsABadGateway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(conn, "HTTP/1.1 042 Odd\r\nContent-Length: 0\r\n\r\n")
			}
			conn.Close()
		}
	}()
	in := newIntake(t, Config{Forward: "http://" + l.Addr().String()})
	in.signed(t, change("501", "1772438400", "{}"), http.StatusBadGateway)
}

func TestAnAddressThatCannotBeForwardedToIsRefused(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"example.com/hook", "ftp://example.com", "https://", "http://user:word@example.com/",
		":"} {
		_, err := New(Config{AppSecrets: []router.Secret{secret}, VerifyToken: token, Forward: address}, &journal{})
		if err == nil || !strings.Contains(err.Error(), "--forward") || strings.Contains(err.Error(), "word@") {
			t.Errorf("%s: got %v", address, err)
		}
	}
}
