package probe

import (
	"testing"
	"time"
)

// noon is when everything happens in these tests.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// seen makes a tally of sights, a minute apart.
func seen(sights ...sight) (t tally) {
	for i, s := range sights {
		t.add(s, noon.Add(time.Duration(i)*time.Minute))
	}
	return t
}

func times(n int, s sight) (list []sight) {
	for range n {
		list = append(list, s)
	}
	return list
}

// Sights that others are made of.
var (
	goodPing = sight{result: active, good: true, status: 200, pinged: true, took: 342 * time.Millisecond}
	slowPing = sight{result: active, good: true, status: 200, pinged: true, took: 7234 * time.Millisecond}
	noAnswer = sight{result: timedOut, words: "no answer in 10 s", pinged: true}
	fails    = sight{result: odd, words: "it answers HTTP 500", status: 500, pinged: true}
	head     = sight{result: reached, good: true, status: 405, took: 84123 * time.Microsecond}
	badTLS   = sight{result: tlsFailed, words: "TLS fails: its certificate has expired"}
)

func TestWhatProbesCameTo(t *testing.T) {
	t.Parallel()
	elsewhere := head
	elsewhere.result, elsewhere.status = redirected, 301
	for _, c := range []struct {
		sights []sight
		want   string
	}{
		{times(1, goodPing), "1 probe answered, in 340 ms"},
		{times(12, goodPing), "100 % of 12 probes answered, p90 340 ms"},
		{append(times(9, goodPing), slowPing), "100 % of 10 probes answered, p90 340 ms"},
		{append(times(8, goodPing), slowPing, slowPing), "100 % of 10 probes answered, p90 7.23 s"},
		{append(times(29, goodPing), noAnswer), "96 % of 30 probes answered, p90 340 ms; 1 failed: no answer in 10 s"},
		{append(times(4, goodPing), noAnswer, fails, fails, noAnswer),
			"50 % of 8 probes answered, p90 340 ms; 4 failed, most often: no answer in 10 s"},
		{append(times(4, goodPing), noAnswer, noAnswer, fails),
			"57 % of 7 probes answered, p90 340 ms; 3 failed, most often: no answer in 10 s"},
		{times(1, badTLS), "TLS fails: its certificate has expired (1 probe)"},
		{times(12, badTLS), "TLS fails: its certificate has expired (all 12 probes)"},
		{[]sight{noAnswer, fails}, "none of 2 probes was answered as it should, most often: it answers HTTP 500"},
		{times(1, head), "1 probe reached it (TLS and HTTP alone: it answers HTTP 405), in 84 ms"},
		{times(3, head), "100 % of 3 probes reached it (TLS and HTTP alone: it answers HTTP 405), p90 84 ms"},
		{times(3, elsewhere), "100 % of 3 probes reached it (TLS and HTTP alone: it answers HTTP 301, " +
			"a redirect that is not followed), p90 84 ms"},
	} {
		tally := seen(c.sights...)
		sum := tally.sum()
		if got := sum.line(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestProbesCountForHalfAnHour(t *testing.T) {
	t.Parallel()
	tally := seen(append(times(10, noAnswer), times(25, goodPing)...)...)
	if sum := tally.sum(); sum.n != 30 || sum.good != 25 {
		t.Errorf("%+v", sum)
	}
	for range 2 * mostSeen { // faster than a probe a minute
		tally.add(fails, noon.Add(34*time.Minute))
	}
	if len(tally.seen) > mostSeen {
		t.Errorf("%d probes are remembered", len(tally.seen))
	}
}

func TestWhatIsWorthANewLine(t *testing.T) {
	t.Parallel()
	none := sight{result: timedOut, words: "no answer in 10 s"}
	slower := func(d time.Duration) sight { s := goodPing; s.took = d; return s }
	for _, c := range []struct {
		what     string
		old, new []sight
		want     bool
	}{
		{"the same", times(10, goodPing), times(11, goodPing), false},
		{"by now it is no chance", times(1, goodPing), times(5, goodPing), true},
		{"still it may be one", times(1, goodPing), times(4, goodPing), false},
		{"one of all failed", times(20, goodPing), append(times(20, goodPing), noAnswer), true},
		{"one more failed", append(times(20, goodPing), noAnswer), append(times(20, goodPing), noAnswer, noAnswer), false},
		{"many more failed", append(times(20, goodPing), noAnswer), append(times(20, goodPing), times(4, noAnswer)...), true},
		{"nothing answers any more", append(times(1, goodPing), times(20, noAnswer)...), times(21, noAnswer), true},
		{"it fails otherwise", times(20, noAnswer), append(times(9, noAnswer), times(11, fails)...), true},
		{"a little slower", times(20, slower(2*time.Second)), times(20, slower(3*time.Second)), false},
		{"twice as slow", times(20, slower(2*time.Second)), times(20, slower(4*time.Second)), true},
		{"twice as fast", times(20, slower(4*time.Second)), times(20, slower(2*time.Second)), true},
		{"twice as slow, of nothing", times(20, slower(20*time.Millisecond)), times(20, slower(90*time.Millisecond)), false},
		{"another status", times(10, head), times(10, sight{good: true, status: 502, took: head.took}), true},
		{"pings instead", times(10, none), times(10, noAnswer), true},
	} {
		a, b := seen(c.old...), seen(c.new...)
		before, after := a.sum(), b.sum()
		if got := after.differs(&before); got != c.want {
			t.Errorf("%s: %t, want %t (%q, then %q)", c.what, got, c.want, before.line(), after.line())
		}
	}
}
