package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"flowbridge/notifiers/sandbox"
	"flowbridge/router"
)

// fact is one thing that the story came to.
type fact struct{ what, value string }

// facts gathers what the story came to.
func (d *demo) facts(ctx context.Context, now snapshot) ([]fact, error) {
	acts, err := d.acts(ctx)
	if err != nil {
		return nil, err
	}
	faults, err := d.faults(ctx, now)
	if err != nil {
		return nil, err
	}
	return slices.Concat(
		[]fact{{"posts", howMany(d.answers)}},
		now.inChannels(),
		now.inPagerDuty(),
		acts,
		[]fact{d.pagerSays(), d.pagerIsTold(), d.toldAlone()},
		faults,
	), nil
}

// inChannels counts what stands in each channel.
func (s *snapshot) inChannels() (facts []fact) {
	for _, ch := range s.channels {
		lines, edits := 0, 0
		for _, m := range s.messages[ch.Name] {
			edits += m.Edited
			if m.ThreadTS != "" {
				lines++
			}
		}
		facts = append(facts, fact{ch.Name, fmt.Sprintf("%d messages, %d lines in their threads, %d edits",
			len(s.messages[ch.Name])-lines, lines, edits)})
	}
	return facts
}

// inPagerDuty is what stands at PagerDuty. How often it was told is not compared: a card may have an address before or
// after.
func (s *snapshot) inPagerDuty() (facts []fact) {
	linked := 0
	for _, inc := range s.incidents {
		if slices.ContainsFunc(inc.Links, func(l sandbox.Link) bool { return strings.HasPrefix(l.Text, "Slack: ") }) {
			linked++
		}
		facts = append(facts, fact{fmt.Sprintf("PagerDuty #%d", inc.Number),
			fmt.Sprintf("%s: %s, %s", signalOf(inc.DedupKey), inc.Status, inc.Severity)})
	}
	return append(facts,
		fact{"linked to cards", fmt.Sprintf("%d of %d PagerDuty incidents", linked, len(s.incidents))},
		fact{"change events", fmt.Sprint(len(s.changes))})
}

// toldAlone is what single people were told in Slack.
func (d *demo) toldAlone() fact {
	var alone []string
	for _, told := range d.slack.Told() {
		alone = append(alone, told.Text)
	}
	return fact{"told alone", slackDate.ReplaceAllString(strings.Join(alone, "; "), "$1")}
}

// faults counts what should not happen at all.
func (d *demo) faults(ctx context.Context, now snapshot) ([]fact, error) {
	refused := 0
	for _, call := range slices.Concat(d.slack.Calls(), d.pager.Calls()) {
		// what a lost database may have left is resolved in vain
		if call.Error != "" || call.Dropped && call.Action != "resolve" {
			refused++
		}
	}
	stats, err := d.bridge.Store.Stats(ctx)
	if err != nil {
		return nil, err
	}
	log, worries := d.log.read()
	seen, err := d.everythingVisible(ctx, now)
	if err != nil {
		return nil, err
	}
	leaks := 0
	for _, word := range personal {
		if strings.Contains(log, word) || strings.Contains(seen, word) {
			leaks++
		}
	}
	return []fact{
		{"calls refused", fmt.Sprint(refused)},
		{"deliveries parked", fmt.Sprint(stats.Deliveries[router.DeliveryParked])},
		{"posts unreadable", fmt.Sprint(stats.Events[router.EventUnreadable])},
		{"warnings logged", fmt.Sprint(worries)},
		{"personal data", fmt.Sprintf("%d of %d words can be seen", leaks, len(personal))},
	}, nil
}

// signalOf is the end of a dedup key, which names the signal, and of a second page how bad it is.
func signalOf(dedupKey string) string {
	parts := strings.SplitN(dedupKey, "/", 4) // flowbridge, the account, the flow
	return parts[len(parts)-1]
}

// slackDate is how Slack is told to write a time for each reader in their own zone.
var slackDate = regexp.MustCompile(`<!date[^|>]*\|([^>]*)>`)

// acts counts what people did, by the journal. What came back from a service that was told of it would be one more.
func (d *demo) acts(ctx context.Context) (facts []fact, err error) {
	events, err := d.bridge.Store.Events(ctx, "", 500)
	if err != nil {
		return nil, err
	}
	slack, pager := map[string]int{}, map[string]int{}
	for _, e := range events {
		switch name := strings.ToLower(e.Name); {
		case e.Act == nil, e.Name == router.LinkIncident:
		case e.Source == router.SourceSlack:
			slack[name]++
		default: // PagerDuty's, and whatever nobody expects
			pager[name]++
		}
	}
	return []fact{{"acts in Slack", howMany(slack)}, {"acts in PagerDuty", howMany(pager)}}, nil
}

// pagerSays counts the webhooks, and those that the bridge did not take.
func (d *demo) pagerSays() fact {
	says := map[string]int{}
	for _, w := range d.pager.Webhooks() {
		kind := strings.TrimPrefix(w.Type, "incident.")
		if w.Status != http.StatusAccepted || w.Attempts > 1 {
			kind += " not taken at once"
		}
		says[kind]++
	}
	return fact{"PagerDuty says", howMany(says)}
}

// pagerIsTold counts what people notice of what PagerDuty was asked to do. What it has said itself does not go back.
func (d *demo) pagerIsTold() fact {
	told := map[string]int{}
	for _, call := range d.pager.Calls() {
		if (call.Action == "acknowledge" || call.Action == "resolve") && !call.Dropped {
			told[call.Action]++
		}
	}
	return fact{"PagerDuty is told", howMany(told)}
}

// howMany writes how often there was what: "2 a, 1 b".
func howMany(count map[string]int) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d %s", count[what], what))
	}
	return strings.Join(parts, ", ")
}

// everythingVisible returns all that people can see at the services and at the admin address.
func (d *demo) everythingVisible(ctx context.Context, now snapshot) (string, error) {
	var all strings.Builder
	for _, shown := range []any{now.messages, d.slack.Told(), now.incidents, now.changes} {
		data, err := json.Marshal(shown)
		if err != nil {
			return "", err
		}
		all.Write(data)
	}
	for _, page := range []string{"/api/v1/incidents", "/api/v1/events", "/api/v1/deliveries", "/metrics"} {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.admin+page, nil)
		if err != nil {
			return "", err
		}
		resp, err := d.cfg.HTTP.Do(req)
		if err != nil {
			return "", err
		}
		_, err = io.Copy(&all, io.LimitReader(resp.Body, 16<<20))
		resp.Body.Close()
		if err != nil {
			return "", err
		}
	}
	return all.String(), nil
}

// verdict compares what the story came to with what it should, and says whether that is the same.
func (t teller) verdict(got, want []fact) (ok bool) {
	ok = true
	say := func(good bool, what, value string) {
		mark := t.paint("32", "✔")
		if !good {
			mark, ok = t.paint("31", "✘"), false
		}
		t.line("%s %-18s %s", mark, what, value)
	}
	for _, f := range got {
		i := slices.IndexFunc(want, func(w fact) bool { return w.what == f.what })
		switch {
		case i < 0:
			say(false, f.what, f.value+"; expected: nothing")
		case want[i] != f:
			say(false, f.what, f.value+"; expected: "+want[i].value)
		default:
			say(true, f.what, f.value)
		}
	}
	for _, w := range want {
		if !slices.ContainsFunc(got, func(f fact) bool { return f.what == w.what }) {
			say(false, w.what, "nothing; expected: "+w.value)
		}
	}
	return ok
}
