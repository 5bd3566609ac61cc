package pagerduty_test

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
	"testing"
	"time"

	"flowbridge/notifiers"
	"flowbridge/notifiers/pagerduty"
	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// What becomes of a delivery after an answer.
const (
	done    = "done"
	retried = "retried"
	later   = "later"
	parked  = "parked"
)

func outcome(err error) string {
	var refused *notifiers.Refused
	var notBefore *notifiers.Later
	switch {
	case err == nil:
		return done
	case errors.As(err, &refused):
		return parked
	case errors.As(err, &notBefore):
		return later
	}
	return retried
}

type answerTest struct {
	name    string
	fault   sandbox.Fault
	outcome string
	may     bool   // the incident may exist
	text    string // in the error
	wait    time.Duration
}

func TestAnswersSayWhatHappensNext(t *testing.T) {
	t.Parallel()
	now := opened.Add(time.Hour)
	const leaky = `{"status":"invalid event","message":"Event object is invalid","errors":["no such ` + routingKey +
		`","'payload' is odd"]}`
	tests := []answerTest{
		{name: "202", outcome: done, may: true},
		{name: "202 without words", fault: sandbox.Fault{Status: 202, Body: "{}"}, outcome: retried, may: true,
			text: "something on the way there, such as a proxy, answered 202 Accepted: check"},
		{name: "200 in PagerDuty's words", fault: sandbox.Fault{Body: `{"status":"success"}`}, outcome: done, may: true},
		{name: "200 of a web page", fault: sandbox.Fault{Body: "<html>Welcome</html>"}, outcome: retried, may: true,
			text: "not PagerDuty but something on the way there, such as a proxy, answered 200 OK: check the proxy or " +
				"firewall on the way, and PAGERDUTY_EVENTS_URL"},
		{name: "200 of somebody else", fault: sandbox.Fault{Body: "{}"}, outcome: retried, may: true,
			text: "answered 200 OK"},
		{name: "a redirect", fault: sandbox.Fault{Status: 307, Location: "https://example.com/"}, outcome: retried,
			text: "such as a proxy, answered 307 Temporary Redirect"},
		{name: "400 that quotes the key", fault: sandbox.Fault{Status: 400, Body: leaky}, outcome: parked,
			text: "no such ••••••; 'payload' is odd"},
		{name: "400 without a list", fault: sandbox.Fault{Status: 400,
			Body: `{"status":"unrecognized object","message":"JSON parse error"}`}, outcome: parked,
			text: "PagerDuty refused: JSON parse error"},
		{name: "400 of a web page", fault: sandbox.Fault{Status: 400}, outcome: retried,
			text: "not PagerDuty but something on the way there, such as a proxy, answered 400 Bad Request"},
		{name: "400 of a gateway in JSON", fault: sandbox.Fault{Status: 400,
			Body: `{"status":400,"message":"bad request","path":"/v2/enqueue"}`}, outcome: retried,
			text: "answered 400 Bad Request (bad request)"},
		{name: "400 that contradicts itself", fault: sandbox.Fault{Status: 400,
			Body: `{"status":"success","message":"fine"}`}, outcome: retried, text: "answered 400 Bad Request"},
		{name: "400 with nothing but a status", fault: sandbox.Fault{Status: 400, Body: `{"status":"error"}`},
			outcome: retried, text: "answered 400 Bad Request (error)"},
		{name: "400 that quotes the key in pieces", fault: sandbox.Fault{Status: 400, Body: `{"status":"x","errors":["` +
			strings.Repeat("x", 290) + routingKey + `"]}`}, outcome: parked, text: "xxx••••••"},
		{name: "401 in PagerDuty's words", fault: sandbox.Fault{Status: 401,
			Body: `{"status":"invalid event","message":"no","errors":["no"]}`}, outcome: retried,
			text: "answered 401 Unauthorized (no)"},
		{name: "408", fault: sandbox.Fault{Status: 408}, outcome: retried, may: true,
			text: "PagerDuty answered 408 Request Timeout"},
		{name: "429", fault: sandbox.Fault{Status: 429}, outcome: later, wait: time.Minute,
			text: "PagerDuty answered 429 Too Many Requests; not before 2026-03-14T04:01:00Z"},
		{name: "429 with Retry-After", fault: sandbox.Fault{Status: 429, RetryAfter: 17 * time.Second}, outcome: later,
			wait: 17 * time.Second},
		{name: "429 with a day", fault: sandbox.Fault{Status: 429, RetryWords: "86400"}, outcome: later,
			wait: 5 * time.Minute},
		{name: "429 with a lifetime", fault: sandbox.Fault{Status: 429, RetryWords: "2147483647"}, outcome: later,
			wait: 5 * time.Minute},
		{name: "429 with more than fits", fault: sandbox.Fault{Status: 429, RetryWords: "99999999999999999999"},
			outcome: later, wait: 5 * time.Minute},
		{name: "429 with less than nothing", fault: sandbox.Fault{Status: 429, RetryWords: "-1"}, outcome: later,
			wait: time.Minute},
		{name: "429 with nothing", fault: sandbox.Fault{Status: 429, RetryWords: "0"}, outcome: later, wait: time.Minute},
		{name: "429 with a word", fault: sandbox.Fault{Status: 429, RetryWords: "soon"}, outcome: later, wait: time.Minute},
		{name: "429 with a date soon", fault: sandbox.Fault{Status: 429, RetryWords: "Sat, 14 Mar 2026 04:02:00 GMT"},
			outcome: later, wait: 2 * time.Minute},
		{name: "429 with a date days ahead", fault: sandbox.Fault{Status: 429, RetryWords: "Tue, 17 Mar 2026 04:00:00 GMT"},
			outcome: later, wait: 5 * time.Minute},
		{name: "429 with a date that has passed", fault: sandbox.Fault{Status: 429,
			RetryWords: "Thu, 01 Jan 1970 00:00:00 GMT"}, outcome: later, wait: time.Minute},
		{name: "503 with a day", fault: sandbox.Fault{Status: 503, RetryWords: "86400"}, outcome: later, may: true,
			wait: 5 * time.Minute},
		{name: "503 with a date that has passed",
			fault: sandbox.Fault{Status: 503, RetryWords: "Thu, 01 Jan 1970 00:00:00 GMT"}, outcome: retried, may: true},
		{name: "500", fault: sandbox.Fault{Status: 500, Body: `{"message":"Oops ` + routingKey + `"}`}, outcome: retried,
			may: true, text: "PagerDuty answered 500 Internal Server Error: Oops ••••••"},
		{name: "503 with Retry-After", fault: sandbox.Fault{Status: 503, RetryAfter: 2 * time.Minute}, outcome: later,
			may: true, wait: 2 * time.Minute},
		{name: "an odd status", fault: sandbox.Fault{Status: 799}, outcome: retried, may: true, text: "799"},
		{name: "a cut connection", fault: sandbox.Fault{EOF: true}, outcome: retried, may: true,
			text: "PagerDuty did not answer: EOF"},
		{name: "a cut connection after the event was taken", fault: sandbox.Fault{EOF: true, AfterAccept: true},
			outcome: retried, may: true},
		{name: "an endless answer", fault: sandbox.Fault{Status: 202, Body: strings.Repeat("x", 1<<20)}, outcome: retried,
			may: true},
	}
	for _, proxy := range sandbox.ProxyFaults() {
		tests = append(tests, answerTest{name: proxy.Name, fault: proxy.Fault, outcome: retried,
			may:  proxy.Status == http.StatusOK,
			text: fmt.Sprintf("not PagerDuty but something on the way there, such as a proxy, answered %d", proxy.Status)})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, pagerduty.Config{Now: func() time.Time { return now }}, sandbox.PagerDutyConfig{})
			if test.fault != (sandbox.Fault{}) {
				test.fault.Times = 1
				b.Fail(test.fault)
			}
			receipt, err := b.Sync(t.Context(), failing())
			if got := outcome(err); got != test.outcome {
				t.Fatalf("%s, want %s: %v", got, test.outcome, err)
			}
			if want := (router.Receipt{}); (receipt != want) != test.may {
				t.Errorf("receipt %+v, though something may exist: %v", receipt, test.may)
			}
			if test.may && (receipt.Own != dedup(incident42) || !receipt.Open) {
				t.Errorf("receipt %+v closes nothing", receipt)
			}
			if err != nil {
				sandbox.AssertNoSecret(t, []string{routingKey, routingKey[:16]}, err.Error(),
					fmt.Sprintf("%+v %#v", receipt, receipt))
			}
			if err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %q, want %q in it", err, test.text)
			}
			var notBefore *notifiers.Later
			if errors.As(err, &notBefore) && !notBefore.NotBefore().Equal(now.Add(test.wait)) {
				t.Errorf("tried again at %s, want %s", notBefore.NotBefore(), now.Add(test.wait))
			}
			if err != nil { // whatever it was, a repeat makes one incident
				b.sync(t, again(failing(), receipt))
			}
			if got := len(b.Incidents()); got > 1 || err != nil && got != 1 {
				t.Errorf("%d incidents", got)
			}
		})
	}
}

// TestAKeyOnTheWireStaysOutOfErrors lets a proxy answer with what it got, so that the fault is in the network
// and not in PagerDuty's words.
func TestAKeyOnTheWireStaysOutOfErrors(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		_, _ = conn.Write(append(body, "\r\n\r\n"...))
	}()
	p, err := pagerduty.New(pagerduty.Config{EventsURL: "http://" + listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := p.Sync(t.Context(), failing())
	if outcome(err) != retried || !receipt.Open || !strings.Contains(err.Error(), `PagerDuty did not answer: `) {
		t.Errorf("receipt %+v, %v", receipt, err)
	}
	sandbox.AssertNoSecret(t, []string{routingKey}, err.Error())
}

func TestAWrongKeyIsRefusedWithAHint(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	for _, key := range []router.Secret{otherKey, "short", ""} {
		for _, n := range []router.Notification{failing(), notice("FLOW_ON_FIRE", router.Info)} {
			n.Target.Credential = key
			receipt, err := b.Sync(t.Context(), n)
			if outcome(err) != parked || receipt != (router.Receipt{}) ||
				!strings.Contains(err.Error(), "the integration key has 32 letters and digits") {
				t.Errorf("receipt %+v, %v", receipt, err)
			}
		}
	}
	if n := len(b.Calls()); n != 4 {
		t.Errorf("%d calls, want none without a key", n)
	}
}

func TestAServiceThatHangsIsLeftInTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		cfg    pagerduty.Config
		cancel bool
		want   error
	}{
		{"by the time-out of a call", pagerduty.Config{Timeout: 2 * time.Second}, false, context.DeadlineExceeded},
		{"by who asked", pagerduty.Config{}, true, context.Canceled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.cfg.Timeout > 0 && testing.Short() {
				t.Skip("waits for the time-out")
			}
			b := newBench(t, test.cfg, sandbox.PagerDutyConfig{})
			b.Fail(sandbox.Fault{Hang: true, AfterAccept: true})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.cancel {
				go func() {
					_ = b.Wait(ctx, func() bool { return len(b.Calls()) == 1 })
					cancel()
				}()
			}
			receipt, err := b.Sync(ctx, failing())
			if outcome(err) != retried || !errors.Is(err, test.want) || receipt.Own != dedup(incident42) || !receipt.Open {
				t.Errorf("receipt %+v, %v", receipt, err)
			}
			b.ClearFaults()
			b.sync(t, closed(again(failing(), receipt)))
			if got := b.Incidents(); len(got) != 1 || got[0].Status != sandbox.IncidentResolved {
				t.Errorf("incidents %+v", got)
			}
		})
	}
}

func TestNobodyThereMakesNothing(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	p, err := pagerduty.New(pagerduty.Config{EventsURL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	receipt, err := p.Sync(t.Context(), failing())
	if outcome(err) != retried || receipt != (router.Receipt{}) || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("receipt %+v, %v", receipt, err)
	}
}

const refusal = `{"status":"invalid event","message":"Event object is invalid","errors":["Invalid routing key"]}`

func TestARefusalForgetsNothingThatMayExist(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	n := failing()
	n.MayExist, n.Attempt = true, 2
	b.Fail(sandbox.Fault{Status: 400, Body: refusal, Times: 1})
	next, _ := b.fail(t, n)
	if next.Receipt.Own != dedup(incident42) || !next.Receipt.Open {
		t.Errorf("receipt %+v", next.Receipt)
	}
	n = closed(b.sync(t, failing()))
	b.Fail(sandbox.Fault{Status: 400, Body: refusal, Times: 1})
	next, _ = b.fail(t, n)
	if !next.Receipt.Open {
		t.Errorf("receipt %+v of what could not be resolved", next.Receipt)
	}
	n = notice("FLOW_ON_FIRE", router.Critical)
	n.MayExist, n.Attempt = true, 2
	b.Fail(sandbox.Fault{Status: 400, Body: refusal, Times: 1})
	next, _ = b.fail(t, n)
	if !next.Receipt.Open || next.Receipt.Told != 0 {
		t.Errorf("receipt %+v of a notice", next.Receipt)
	}
}

func TestNewsThatMayHaveBeenToldIsToldAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
	b.Fail(sandbox.Fault{Method: "/v2/change/enqueue", Status: 502, Times: 1})
	n, _ := b.fail(t, notice("FLOW_ON_FIRE", router.Info))
	if n.Receipt == (router.Receipt{}) || n.Receipt.Told != 0 {
		t.Errorf("receipt %+v", n.Receipt)
	}
	n = b.sync(t, n)
	if n.Receipt.Told != 1 || len(b.ChangeEvents()) != 1 {
		t.Errorf("receipt %+v, change events %+v", n.Receipt, b.ChangeEvents())
	}
}

func TestPagerDutysOwnLimitIsWaitedOut(t *testing.T) {
	t.Parallel()
	now := opened
	clock := func() time.Time { return now }
	b := newBench(t, pagerduty.Config{Now: clock}, sandbox.PagerDutyConfig{Calls: 1, RetryAfter: true, Now: clock})
	n := b.sync(t, failing())
	now = now.Add(20 * time.Second)
	_, err := b.Sync(t.Context(), n)
	var notBefore *notifiers.Later
	if !errors.As(err, &notBefore) || !notBefore.NotBefore().Equal(opened.Add(time.Minute)) {
		t.Fatal(err)
	}
	now = notBefore.NotBefore()
	b.sync(t, n)
}

func TestAnAddressWithAPathIsKept(t *testing.T) {
	t.Parallel()
	account := sandbox.NewPagerDuty(sandbox.PagerDutyConfig{RoutingKeys: []router.Secret{routingKey}})
	server := httptest.NewServer(http.StripPrefix("/pagerduty/eu", account))
	t.Cleanup(server.Close)
	p, err := pagerduty.New(pagerduty.Config{EventsURL: server.URL + "/pagerduty/eu/"})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []router.Notification{failing(), notice("FLOW_ON_FIRE", router.Info)} {
		if _, err := p.Sync(t.Context(), n); err != nil {
			t.Error(err)
		}
	}
	if len(account.Incidents()) != 1 || len(account.ChangeEvents()) != 1 {
		t.Errorf("calls %+v", account.Calls())
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Error("the routing key went to a stranger")
		}))
		t.Cleanup(stranger.Close)
		b := newBench(t, pagerduty.Config{}, sandbox.PagerDutyConfig{})
		b.Fail(sandbox.Fault{Status: status, Location: stranger.URL})
		if _, err := b.Sync(t.Context(), failing()); outcome(err) != retried {
			t.Errorf("%d: %v", status, err)
		}
	}
}
