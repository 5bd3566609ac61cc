package whatsapp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"flowbridge/router"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret = router.Secret("a secret of the test")
	token  = router.Secret("a token of the test")
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func sample(t testing.TB, s Sample) []byte {
	t.Helper()
	if s.Time.IsZero() {
		s.Time = noon
	}
	body, err := s.Body()
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// journal keeps events in memory and drops repeats, or answers with err.
type journal struct {
	mu     sync.Mutex
	events []router.Event
	seen   map[string]bool
	calls  int
	err    error
}

func (j *journal) Append(_ context.Context, events []router.Event) (stored int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.calls++
	if j.err != nil {
		return 0, j.err
	}
	if j.seen == nil {
		j.seen = map[string]bool{}
	}
	for _, e := range events {
		if !j.seen[e.Digest] {
			j.seen[e.Digest] = true
			j.events = append(j.events, e)
			stored++
		}
	}
	return stored, nil
}

// intake is a Handler behind a real server, with what it wrote and counted.
type intake struct {
	*httptest.Server
	journal *journal
	metrics *prometheus.Registry
	log     *bytes.Buffer

	lastBody []byte
}

func newIntake(t *testing.T, cfg Config) *intake {
	t.Helper()
	in := &intake{journal: &journal{}, metrics: prometheus.NewRegistry(), log: &bytes.Buffer{}}
	if cfg.AppSecrets == nil {
		cfg.AppSecrets = []router.Secret{secret}
	}
	cfg.VerifyToken, cfg.Registerer = token, in.metrics
	cfg.Now = func() time.Time { return noon }
	cfg.Logger = slog.New(slog.NewTextHandler(in.log, nil))
	h, err := New(cfg, in.journal)
	if err != nil {
		t.Fatal(err)
	}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			h.Verify(w, r)
			return
		}
		h.Receive(w, r)
	}))
	t.Cleanup(in.Close)
	return in
}

// send posts a body under a signature, "" for none, and returns the answer and its text.
func (in *intake) send(t *testing.T, body []byte, signature string) (*http.Response, string) {
	t.Helper()
	req := in.request(t, http.MethodPost, in.URL, body)
	if signature != "" {
		req.Header.Set(signatureHeader, signature)
	}
	return in.do(t, req)
}

func (in *intake) request(t *testing.T, method, address string, body []byte) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(body))
	if err != nil {
		panic(err) // the test's own fault
	}
	return req
}

func (in *intake) do(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := in.Client().Do(req)
	if err != nil {
		t.Error(err)
		return &http.Response{Status: "nothing"}, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp, string(text)
}

// signed posts a well-signed body and expects a status.
func (in *intake) signed(t *testing.T, body []byte, want int) *http.Response {
	t.Helper()
	resp, text := in.send(t, body, Sign(secret, body))
	if resp.StatusCode != want {
		t.Errorf("%.200s: answered %s %s, want %d", body, resp.Status, text, want)
	}
	return resp
}

// counted checks one of the counters.
func (in *intake) counted(t *testing.T, want string) {
	t.Helper()
	name, _, _ := strings.Cut(strings.TrimPrefix(strings.SplitN(want, "\n", 2)[0], "# TYPE "), " ")
	if err := testutil.GatherAndCompare(in.metrics, strings.NewReader(want+"\n"), name); err != nil {
		t.Error(err)
	}
}

func TestTheHandshake(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{})
	right := url.Values{"hub.mode": {"subscribe"}, "hub.challenge": {"<b>1158201444</b> é"},
		"hub.verify_token": {token.Reveal()}}
	with := func(key, value string) url.Values {
		v := url.Values{key: {value}}
		for k := range right {
			if k != key {
				v[k] = right[k]
			}
		}
		return v
	}
	for name, c := range map[string]struct {
		query url.Values
		want  int
	}{
		"as Meta asks":             {right, http.StatusOK},
		"a wrong token":            {with("hub.verify_token", "a token of the tesT"), http.StatusForbidden},
		"the beginning of a token": {with("hub.verify_token", "a token"), http.StatusForbidden},
		"an empty token":           {with("hub.verify_token", ""), http.StatusForbidden},
		"another mode":             {with("hub.mode", "unsubscribe"), http.StatusForbidden},
		"nothing":                  {nil, http.StatusForbidden},
		"the right token is second": {url.Values{"hub.mode": {"subscribe"}, "hub.verify_token": {"x", token.Reveal()}},
			http.StatusForbidden},
	} {
		resp, text := in.do(t, in.request(t, http.MethodGet, in.URL+"?"+c.query.Encode(), nil))
		if resp.StatusCode != c.want {
			t.Errorf("%s: answered %s", name, resp.Status)
		}
		if got := resp.Header.Get("Content-Type"); got != "text/plain; charset=utf-8" ||
			resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: served as %q: a challenge as HTML would be cross-site scripting", name, got)
		}
		if shown := strings.Contains(text, "<b>"); shown != (c.want == http.StatusOK) {
			t.Errorf("%s: answered %q", name, text)
		}
		if c.want == http.StatusOK && text != right.Get("hub.challenge") {
			t.Errorf("%s: the challenge came back as %q", name, text)
		}
	}
	if n := strings.Count(in.log.String(), "META_VERIFY_TOKEN"); n != 1 {
		t.Errorf("the log speaks of the token %d times, want once in ten seconds:\n%s", n, in.log)
	}
	if strings.Contains(in.log.String(), token.Reveal()) || strings.Contains(in.log.String(), "a token of the tesT") {
		t.Error("a token is in the log")
	}
}

func TestWhatCannotBeReadIsStoredAsItCameAndAnswered200(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{})
	bodies := []string{"", "no JSON", "\x00\xff\xfe", `{"entry":[{"id":"501"`, `{"entry":[7,7,{}]}`,
		strings.Repeat("[", 20_000)}
	var want, got []string
	for _, body := range bodies {
		in.signed(t, []byte(body), http.StatusOK)
		if !strings.Contains(body, "7,7") {
			want = append(want, body)
		}
	}
	want = append(want[:4:4], append([]string{"7", "{}"}, want[4:]...)...) // the second 7 is a repeat of the first
	for _, e := range in.journal.events {
		if e.Unreadable == "" {
			t.Errorf("%q is taken for readable", e.Raw)
		}
		got = append(got, string(e.Raw))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if n := strings.Count(in.log.String(), "could not be read"); n != len(bodies) {
		t.Errorf("%d lines in the log, want one for each post:\n%s", n, in.log)
	}
}

func TestMessagesAreCountedAndLetGo(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{})
	in.signed(t, sample(t, Sample{Event: SampleMessage}), http.StatusOK)
	in.signed(t, sample(t, Sample{Event: router.FlowResponse}), http.StatusOK)
	in.signed(t, []byte(`{"entry":[{"changes":[{"field":"messages"},{"field":"messages"}]}]}`), http.StatusOK)
	if in.journal.calls != 0 {
		t.Errorf("the journal was told of messages: %+v", in.journal.events)
	}
	in.signed(t, fixtures(t)["several-entries-and-changes"], http.StatusOK)
	if len(in.journal.events) != 3 {
		t.Errorf("the neighbours of a message: %+v", in.journal.events)
	}
	in.counted(t, `# TYPE flowbridge_messages_let_go_total counter
# HELP flowbridge_messages_let_go_total Changes of the field messages that no rule asks for.
flowbridge_messages_let_go_total 5`)
}

func TestFormsAreTakenWhileARuleAsksForThem(t *testing.T) {
	t.Parallel()
	wanted := true
	in := newIntake(t, Config{WantsField: func(field string) bool { return wanted && field == router.MessagesField }})
	in.signed(t, sample(t, Sample{Event: SampleMessage}), http.StatusOK)
	in.signed(t, sample(t, Sample{Event: router.FlowResponse}), http.StatusOK)
	wanted = false // the rules were edited
	in.signed(t, sample(t, Sample{Event: router.FlowResponse, Time: noon.Add(time.Second)}), http.StatusOK)
	if len(in.journal.events) != 1 || in.journal.events[0].Name != router.FlowResponse {
		t.Errorf("the journal holds %+v", in.journal.events)
	}
}

func TestPostsAndEventsAreCounted(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{MaxBody: 1 << 10})
	in.signed(t, change("501", "1772438400", `{"event":"CLIENT_ERROR_RATE"}`), http.StatusOK)
	in.signed(t, change("501", "1772438400", `{"event":"SOMETHING_NEW"}`), http.StatusOK)
	in.signed(t, make([]byte, 2<<10), http.StatusRequestEntityTooLarge)
	in.send(t, nil, "")
	in.journal.err = router.ErrBusy
	in.signed(t, change("501", "1772438400", "{}"), http.StatusServiceUnavailable)
	in.counted(t, `# TYPE flowbridge_posts_total counter
# HELP flowbridge_posts_total Webhook posts by how they were answered.
flowbridge_posts_total{result="accepted"} 2
flowbridge_posts_total{result="broken"} 0
flowbridge_posts_total{result="busy"} 1
flowbridge_posts_total{result="not_forwarded"} 0
flowbridge_posts_total{result="storage_failed"} 0
flowbridge_posts_total{result="too_large"} 1
flowbridge_posts_total{result="unsigned"} 1`)
	const events = `flowbridge_events_total{event="%s"} %d` + "\n"
	var want strings.Builder
	want.WriteString(
		"# TYPE flowbridge_events_total counter\n# HELP flowbridge_events_total Events received, repeats included, by " +
			"name.\n")
	names := slices.DeleteFunc(router.KnownEvents(), router.IsForFallback)
	slices.Sort(names)
	for _, name := range append(names, "other") {
		n := 0
		if name == "CLIENT_ERROR_RATE" || name == "other" {
			n = 1
		}
		fmt.Fprintf(&want, events, name, n)
	}
	in.counted(t, want.String())
}

func TestPostsAtTheSameTimeKeepTheirBodiesApart(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{})
	var posts sync.WaitGroup
	for i := range 20 {
		posts.Go(func() {
			for k := range 10 {
				in.signed(t, change(fmt.Sprint(i), fmt.Sprint(1772438400+k), fmt.Sprintf(`{"flow_id":"%d","message":"%s"}`, i,
					strings.Repeat(fmt.Sprint(i), 10*k))), http.StatusOK)
			}
		})
	}
	posts.Wait()
	for _, e := range in.journal.events {
		if e.WABA != e.Flow || strings.Trim(e.Message, e.Flow) != "" ||
			!strings.Contains(string(e.Value), `"`+e.Message+`"`) {
			t.Fatalf("bodies were mixed: %+v", e)
		}
	}
	if len(in.journal.events) != 200 {
		t.Errorf("%d events, want 200", len(in.journal.events))
	}
}

// TestAnEmptySecretLetsNobodyIn is for one that was emptied while the bridge runs.
func TestAnEmptySecretLetsNobodyIn(t *testing.T) {
	t.Parallel()
	in := newIntake(t, Config{AppSecretsNow: func() []router.Secret { return []router.Secret{"", secret} },
		VerifyTokenNow: func() router.Secret { return "" }})
	body := change("501", "1772438400", "{}")
	if resp, _ := in.send(t, body, Sign("", body)); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a post that is signed with nothing: answered %s", resp.Status)
	}
	in.signed(t, body, http.StatusOK)
	if resp, _ := in.do(t, in.request(t, http.MethodGet, in.URL+"?hub.mode=subscribe&hub.verify_token=&hub.challenge=1",
		nil)); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a handshake with an empty token: answered %s", resp.Status)
	}
}

func TestWithoutSecretsThereIsNoHandler(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  Config
		want string
	}{
		{Config{VerifyToken: token}, "no app secret: set META_APP_SECRET"},
		{Config{AppSecrets: []router.Secret{""}, VerifyToken: token},
			"app secret 1 of 1 is empty: check the commas in META_APP_SECRET"},
		{Config{AppSecrets: []router.Secret{secret, " \n"}, VerifyToken: token},
			"app secret 2 of 2 is empty: check the commas in META_APP_SECRET"},
		{Config{AppSecrets: []router.Secret{secret}}, "no verify token: set META_VERIFY_TOKEN"},
		{Config{AppSecrets: []router.Secret{secret}, VerifyToken: "\t"}, "no verify token: set META_VERIFY_TOKEN"},
	} {
		if _, err := New(c.cfg, &journal{}); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
