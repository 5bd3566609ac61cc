package router_test

import (
	"testing"

	"flowbridge/router"
)

// TestANameThatWasKnownStays has who gives names beside the rules forget them, as after a start.
func TestANameThatWasKnownStays(t *testing.T) {
	info := router.FlowInfo{Labels: map[string]string{"team": "pay"}}
	h := &history{decide: func(e *router.Event) router.Decision {
		d := chatAndPage(e)
		d.FlowInfo = info
		return d
	}}
	expect := func(minute int, threshold float64, about, account string) {
		t.Helper()
		h.fold(pair(minute, router.EndpointErrorRate, router.Activated, threshold))
		if inc := h.state.Incidents[0]; inc.About() != about || inc.AccountName != account || inc.Labels["team"] != "pay" {
			t.Errorf("minute %d: it is about %q of %q", minute, inc.About(), inc.AccountName)
		}
	}
	expect(0, 5, "flow f", "")
	info.FlowName, info.AccountName = "Checkout", "Acme"
	expect(1, 10, "Checkout", "Acme")
	info.FlowName, info.AccountName = "", ""
	expect(2, 50, "Checkout", "Acme")
}

func TestAnAlertOfANumberIsCalledByIt(t *testing.T) {
	one := router.Subject{Kind: router.SubjectEntity, ID: "PHONE_NUMBER:9", Name: "phone number 9"}
	named := router.FlowInfo{NumberName: "+1 555-0100 (Acme)"}
	for _, c := range []struct {
		subject router.Subject
		info    router.FlowInfo
		want    string
	}{
		{one, router.FlowInfo{}, "phone number 9"},
		{one, named, "phone number +1 555-0100 (Acme)"},
		{business, named, "business 9"},
	} {
		if got := c.subject.Label(c.info, "501"); got != c.want {
			t.Errorf("%v with %v: got %q, want %q", c.subject, c.info, got, c.want)
		}
	}
}
