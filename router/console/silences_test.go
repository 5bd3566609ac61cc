package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"flowbridge/router"
)

// flowNames is what the rules of these tests call flows.
func flowNames(name string) []string {
	return map[string][]string{"Checkout": {"1987937931743377"}, "Survey": {"5", "6"}}[name]
}

func accountNames(name string) []string {
	return map[string][]string{"Shop": {"102290129340398"}, "Branch": {"7", "8"}}[name]
}

func TestAPersonAddsASilence(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		want       router.Silence
		covers     []int64
	}{
		{"of a flow by its name, for a while",
			`{"flow": "Checkout", "for": "4h", "by": "Ada", "why": "deploy\nof the endpoint"}`,
			router.Silence{Scope: router.Scope{Flow: "1987937931743377"}, Until: noon.Add(4 * time.Hour),
				Why: "deploy of the endpoint"}, []int64{42}},
		{"of a flow by its id, for days", `{"flow": "77", "for": "1d12h"}`,
			router.Silence{Scope: router.Scope{Flow: "77"}, Until: noon.Add(36 * time.Hour)}, []int64{}},
		{"of an event in small letters, until a time",
			`{"event": "flow_status_change", "until": "2026-05-04T16:00:00+02:00"}`,
			router.Silence{Scope: router.Scope{Event: router.FlowStatusChange}, Until: noon.Add(2 * time.Hour)}, []int64{41}},
		{"of a team, until recovery", `{"team": "payments", "until": "recovered"}`,
			router.Silence{Scope: router.Scope{Labels: map[string]string{"team": "payments"}}}, []int64{42}},
		{"of a label in an account", `{"waba": "w1", "labels": {"team": "payments"}, "for": "30m"}`,
			router.Silence{Scope: router.Scope{WABA: "w1", Labels: map[string]string{"team": "payments"}},
				Until: noon.Add(30 * time.Minute)}, []int64{42}},
		{"of an account by its name", `{"waba": "Shop", "for": "1h"}`,
			router.Silence{Scope: router.Scope{WABA: "102290129340398"}, Until: noon.Add(time.Hour)}, []int64{}},
		{"that begins later, for a while from then", `{"flow": "Checkout", "start": "2026-05-04T20:00:00Z", "for": "4h"}`,
			router.Silence{Scope: router.Scope{Flow: "1987937931743377"}, Since: noon.Add(8 * time.Hour),
				Start: noon.Add(8 * time.Hour), Until: noon.Add(12 * time.Hour)}, []int64{}},
		{"that begins some time from now, until recovery", `{"flow": "Checkout", "start": "2h", "until": "recovered"}`,
			router.Silence{Scope: router.Scope{Flow: "1987937931743377"}, Since: noon.Add(2 * time.Hour),
				Start: noon.Add(2 * time.Hour)}, []int64{}},
		{"of everything, when that is said", `{"everything": true, "for": "1m"}`,
			router.Silence{Until: noon.Add(time.Minute)}, []int64{41, 42}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := filledStore()
			c, logs := newConsole(t, Config{FlowIDs: flowNames, AccountIDs: accountNames}, s)
			resp := ask(c, "POST", "/api/v1/silences", tt.body)
			var got SilenceAdded
			if err := json.Unmarshal([]byte(text(t, resp)), &got); err != nil || resp.StatusCode != 202 || !got.Queued {
				t.Fatalf("%s %+v %v", resp.Status, got, err)
			}
			if diff := cmp.Diff(tt.covers, got.Covers); diff != "" {
				t.Errorf("covers (-want +got):\n%s", diff)
			}
			tt.want.ID = got.Silence.ID
			if tt.want.Since.IsZero() {
				tt.want.Since = noon
			}
			tt.want.By = "API"
			if strings.Contains(tt.body, "Ada") {
				tt.want.By = "API (name given: Ada)"
			}
			want := []router.Event{{Source: router.SourceConsole, Name: router.AddSilence, At: noon, Received: noon,
				Act: &router.Act{Actor: tt.want.By, Silence: &tt.want, Verified: router.VerifiedNot, From: "192.0.2.1"}}}
			if diff := cmp.Diff(want, s.appended, cmpopts.IgnoreFields(router.Event{}, "Digest")); diff != "" {
				t.Errorf("journal (-want +got):\n%s", diff)
			}
			if !slices.Equal(got.Silence.Covers, got.Covers) {
				t.Errorf("the silence covers %v, and the answer says %v", got.Silence.Covers, got.Covers)
			}
			if len(got.Silence.ID) != 10 || !strings.Contains(logs.String(), got.Silence.ID) {
				t.Errorf("id %q, log %s", got.Silence.ID, logs)
			}
		})
	}
}

func TestWhatIsNoSilenceIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		status     int
		want       string
	}{
		{"nothing at all", "", 400,
			`this would silence everything: narrow it by waba, flow, event, team or labels, or say everything: true; ` +
				`say how long: for (30m, 4h, 2d), or until with a time or "recovered"`},
		{"no JSON", "flow=5", 400, "the body cannot be read (invalid character 'l' in literal false (expecting 'a')): " +
			wishUsage},
		{"an unknown key", `{"flows": "5"}`, 400, `the body cannot be read (unknown field "flows"): ` + wishUsage},
		{"everything, and a flow", `{"flow": "5", "everything": true, "for": "1h"}`, 400,
			"everything: true stands alone: leave out waba, flow, event, team and labels"},
		{"two ends", `{"flow": "5", "for": "1h", "until": "recovered"}`, 400,
			"for and until exclude each other: give one of them"},
		{"no duration", `{"flow": "5", "for": "4"}`, 400, `for: "4" is no duration from 1m to 366d, such as 30m, 4h or 2d`},
		{"a negative duration", `{"flow": "5", "for": "-4h"}`, 400,
			`for: "-4h" is no duration from 1m to 366d, such as 30m, 4h or 2d`},
		{"a duration for ever", `{"flow": "5", "for": "9999d"}`, 400,
			`for: "9999d" is no duration from 1m to 366d, such as 30m, 4h or 2d`},
		{"more days than a number holds", `{"flow": "5", "for": "99999999999d"}`, 400,
			`for: "99999999999d" is no duration from 1m to 366d, such as 30m, 4h or 2d`},
		{"a time that is past", `{"flow": "5", "until": "2026-05-04T12:00:00Z"}`, 400, "until: 2026-05-04T12:00:00Z is past"},
		{"a time far away", `{"flow": "5", "until": "2028-05-04T12:00:00Z"}`, 400,
			"until: 2028-05-04T12:00:00Z is more than 366 days away"},
		{"no time", `{"flow": "5", "until": "tomorrow"}`, 400,
			`until: "tomorrow" is neither an RFC 3339 time, such as 2026-03-02T08:00:00Z, nor "recovered"`},
		{"a start that is past", `{"flow": "5", "start": "2026-05-04T11:00:00Z", "for": "1h"}`, 400,
			"start: 2026-05-04T11:00:00Z is past: leave it out to begin at once"},
		{"a start far away", `{"flow": "5", "start": "9999d", "for": "1h"}`, 400, "start: 9999d is more than 366 days away"},
		{"no start", `{"flow": "5", "start": "tomorrow", "for": "1h"}`, 400,
			`start: "tomorrow" is neither an RFC 3339 time, such as 2026-03-02T08:00:00Z, nor a time from now, such as 2h`},
		{"an end before the start", `{"flow": "5", "start": "2h", "until": "2026-05-04T13:00:00Z"}`, 400,
			"until: 2026-05-04T13:00:00Z is not after start"},
		{"everything, where nobody says who, and later", `{"everything": true, "start": "20h", "for": "8h"}`, 400,
			"everything: at most 24h where anybody on this machine may ask for it: say for, or until, or set " +
				"FLOWBRIDGE_ADMIN_TOKEN"},
		{"a name of no flow", `{"flow": "Chekout", "for": "1h"}`, 400, `flow: the rules name no flow "Chekout": give its id`},
		{"a name of two flows", `{"flow": "Survey", "for": "1h"}`, 400,
			`flow: "Survey" is the name of 2 flows: give the id, one of 5, 6`},
		{"a name of two accounts", `{"waba": "Branch", "for": "1h"}`, 400,
			`waba: "Branch" is the name of 2 accounts: give the id, one of 7, 8`},
		{"no event, and no value", `{"event": "error rate!", "labels": {"team": ""}, "for": "1h"}`, 400,
			`event: "error rate!" is no event, such as ENDPOINT_ERROR_RATE; labels: give each label a name and a value`},
		{"two teams", `{"team": "a", "labels": {"team": "b"}, "for": "1h"}`, 400, `team is "a", and in labels "b"`},
		{"a long body", `{"why": "` + strings.Repeat("x", 5000) + `"}`, 413, "the body is longer than 4096 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := filledStore()
			c, _ := newConsole(t, Config{FlowIDs: flowNames, AccountIDs: accountNames}, s)
			resp := ask(c, "POST", "/api/v1/silences", tt.body)
			var got struct{ Error string }
			if err := json.Unmarshal([]byte(text(t, resp)), &got); err != nil || resp.StatusCode != tt.status {
				t.Errorf("%s %v", resp.Status, err)
			}
			if diff := cmp.Diff(tt.want, got.Error); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if len(s.appended) > 0 {
				t.Errorf("something was silenced: %+v", s.appended)
			}
		})
	}
	t.Run("what the rules do not know", func(t *testing.T) {
		s := filledStore()
		c, _ := newConsole(t, Config{Misnamed: func(s *router.Scope) []string {
			return []string{"no " + s.Event + " and no " +
				s.Labels["team"]}
		}}, s)
		resp := ask(c, "POST", "/api/v1/silences", `{"event": "latency", "team": "a", "for": "1h"}`)
		if got := text(t, resp); resp.StatusCode != 400 || got != `{"error":"no LATENCY and no a"}`+"\n" ||
			len(s.appended) > 0 {
			t.Errorf("%s %s", resp.Status, got)
		}
	})
	t.Run("one too many", func(t *testing.T) {
		s := filledStore()
		for i := range router.MaxSilences {
			s.silences = append(s.silences, router.Silence{ID: fmt.Sprint(i), Since: noon})
		}
		c, _ := newConsole(t, Config{}, s)
		if resp := ask(c, "POST", "/api/v1/silences", `{"flow": "5", "for": "1h"}`); resp.StatusCode != 409 ||
			len(s.appended) > 0 {
			t.Errorf("%s %s", resp.Status, text(t, resp))
		}
	})
}

func TestAPersonEndsASilence(t *testing.T) {
	for _, tt := range []struct {
		name, id string
		status   int
		want     string
		events   int
	}{
		{"that holds", "deploying", 202, `{"silence":"deploying","queued":true}`, 1},
		{"that the router has not come to", "fresh", 202, `{"silence":"fresh","queued":true}`, 1},
		{"whose time has come", "over", 200, `{"silence":"over","queued":false}`, 0},
		{"that was ended", "ended", 200, `{"silence":"ended","queued":false}`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := filledStore()
			s.events = append(s.events, router.JournalEvent{State: router.EventWaiting,
				Event: router.Event{Seq: 105, Name: router.AddSilence, Act: &router.Act{Silence: &router.Silence{ID: "fresh"}}}})
			c, _ := newConsole(t, Config{}, s)
			resp := ask(c, "DELETE", "/api/v1/silences/"+tt.id, `{"by": "Grace"}`)
			if got := strings.TrimSpace(text(t, resp)); resp.StatusCode != tt.status || got != tt.want ||
				len(s.appended) != tt.events {
				t.Errorf("%s %s, %d events", resp.Status, got, len(s.appended))
			}
			for _, e := range s.appended {
				want := router.Act{Actor: "API (name given: Grace)", Silence: &router.Silence{ID: tt.id},
					Verified: router.VerifiedNot, From: "192.0.2.1"}
				if diff := cmp.Diff(&want, e.Act); diff != "" || e.Name != router.EndSilence {
					t.Errorf("%s (-want +got):\n%s", e.Name, diff)
				}
			}
		})
	}
}

func TestSilencesThatCannotBeReadAreNoEmptyList(t *testing.T) {
	c, _ := newConsole(t, Config{}, &memStore{fault: errors.New("gone")})
	for _, method := range []string{"GET", "POST"} {
		if resp := ask(c, method, "/api/v1/silences", `{"flow": "5", "for": "1h"}`); resp.StatusCode != 500 {
			t.Errorf("%s: %s", method, resp.Status)
		}
	}
}

// TestASilenceOfAnIncidentCoversItsWorst holds that the form which an incident leads to covers all signals that it
// holds, as the button of its card does.
func TestASilenceOfAnIncidentCoversItsWorst(t *testing.T) {
	s := filledStore()
	for _, want := range []string{router.EndpointErrorRate, ""} {
		c, _ := newConsole(t, Config{}, s)
		_, body := newBrowser(t, c).do("GET", "/silences/new?incident=INC-42", nil)
		_, list, _ := strings.Cut(body, `name="event"`)
		list, _, _ = strings.Cut(list, "</select>")
		if !strings.Contains(list, `<option value="`+want+`" selected>`) {
			t.Errorf("want the signal %q:\n%s", want, list)
		}
		s.incidents[0].Alerts = append(s.incidents[0].Alerts, router.Alert{Event: router.EndpointLatency, Level: "7000",
			Active: true})
	}
}

// TestAFormThatIsSentTwiceMakesOneSilence holds that an impatient thumb makes no second silence, which would go on when
// somebody ends the one that they see: the journal keeps one event of a digest.
func TestAFormThatIsSentTwiceMakesOneSilence(t *testing.T) {
	s := filledStore()
	s.silences = nil
	c, _ := newConsole(t, Config{}, s)
	b := newBrowser(t, c)
	form := url.Values{"event": {router.EndpointErrorRate}, "for": {"1h"}, "why": {"deploy"}}
	_, body := b.do("GET", "/silences/preview?"+form.Encode(), nil)
	_, id, _ := strings.Cut(body, `name="id" value="`)
	id, _, _ = strings.Cut(id, `"`)
	form.Set("id", id)
	for range 2 {
		if resp, body := b.do("POST", "/silences/preview", form); resp.StatusCode != 303 {
			t.Fatalf("%s\n%s", resp.Status, body)
		}
	}
	if n := len(s.appended); n != 2 || s.appended[0].Digest != s.appended[1].Digest || s.appended[0].Act.Silence.ID != id {
		t.Fatalf("sent twice at a time: %+v", s.appended)
	}
	ended := *s.appended[0].Act.Silence
	ended.Ended = at(1)
	s.silences = []router.Silence{ended}
	b.do("POST", "/silences/preview", form)
	_, body = b.do("GET", "/silences", nil)
	if len(s.appended) != 2 || !strings.Contains(body, "this form was sent before") {
		t.Errorf("sent again after it has ended: %d events\n%s", len(s.appended), pageText(body))
	}
	for _, odd := range []string{"", "../x", "ABCDEFGHIJ", "abcdefghijk"} {
		form.Set("id", odd)
		b.do("POST", "/silences/preview", form)
		if got := s.appended[len(s.appended)-1].Act.Silence.ID; got == odd || !silenceID.MatchString(got) {
			t.Errorf("with the id %q it is %q", odd, got)
		}
	}
}
