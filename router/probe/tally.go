package probe

import (
	"fmt"
	"slices"
	"time"

	"flowbridge/router"
)

const (
	// window is for how long a probe counts. Meta measures error rates and latency over as long.
	window = 30 * time.Minute
	// enough probes say more than chance does.
	enough = 5
	// otherShare and otherTime are how far shares, in points, and times must be apart to be worth a new line; times
	// must be a half or the double of what they were, too.
	otherShare, otherTime = 10, 200 * time.Millisecond
)

// tally holds the probes of a window.
type tally struct{ seen []stamped }

type stamped struct {
	sight
	at time.Time
}

// mostSeen bounds it: a probe a minute.
const mostSeen = 40

func (t *tally) add(s sight, now time.Time) {
	t.seen = slices.DeleteFunc(append(t.seen, stamped{s, now}), func(s stamped) bool {
		return now.Sub(s.at).Abs() >= window
	})
	if len(t.seen) > mostSeen {
		t.seen = slices.Delete(t.seen, 0, 1)
	}
}

// summary is what probes came to.
type summary struct {
	n, good int
	p90     time.Duration // of those that were good
	wrong   string        // what was wrong most often, and last among equals
	alike   bool          // it was wrong with all that failed
	pinged  bool          // the last one was a ping
	status  int           // of HTTP, of the last good one
}

func (t *tally) sum() (s summary) {
	var took []time.Duration
	counts, most := map[string]int{}, 0
	for i := range t.seen {
		one := &t.seen[i]
		s.n, s.pinged = s.n+1, one.pinged
		if one.good {
			s.good, s.status = s.good+1, one.status
			took = append(took, one.took)
			continue
		}
		if counts[one.words]++; counts[one.words] >= most {
			s.wrong, most = one.words, counts[one.words]
		}
	}
	s.alike = most == s.n-s.good
	if len(took) > 0 {
		slices.Sort(took)
		s.p90 = rounded(took[(len(took)*9+9)/10-1])
	}
	return s
}

// rounded drops what nobody reads.
func rounded(d time.Duration) time.Duration {
	if d >= 100*time.Millisecond {
		return d.Round(10 * time.Millisecond)
	}
	return max(d.Round(time.Millisecond), time.Millisecond)
}

// share is how many of 100 were good; 100 only if all were.
func (s *summary) share() int { return s.good * 100 / s.n }

// line says it behind "from here".
func (s *summary) line() string {
	bad := s.n - s.good
	switch {
	case s.n == 1 && bad == 1:
		return s.wrong + " (1 probe)"
	case s.good == 0 && s.alike:
		return fmt.Sprintf("%s (all %d probes)", s.wrong, s.n)
	case s.good == 0:
		return fmt.Sprintf("none of %d probes was answered as it should, most often: %s", s.n, s.wrong)
	}
	took := router.Millis.Format(float64(s.p90.Milliseconds()))
	text := fmt.Sprintf("%d %% of %d probes %s, p90 %s", s.share(), s.n, s.verb(), took)
	if s.n == 1 {
		text = fmt.Sprintf("1 probe %s, in %s", s.verb(), took)
	}
	switch {
	case bad > 0 && s.alike:
		text += fmt.Sprintf("; %d failed: %s", bad, s.wrong)
	case bad > 0:
		text += fmt.Sprintf("; %d failed, most often: %s", bad, s.wrong)
	}
	return text
}

// verb says what a good probe proves.
func (s *summary) verb() string {
	if s.pinged {
		return "answered"
	}
	redirects := ""
	if s.status/100 == 3 {
		redirects = ", a redirect that is not followed"
	}
	return fmt.Sprintf("reached it (TLS and HTTP alone: it answers HTTP %d%s)", s.status, redirects)
}

// differs says whether it is worth a new line where an older one stands.
func (s *summary) differs(old *summary) bool {
	times := func(a, b time.Duration) bool { return a >= 2*b && a-b >= otherTime }
	all := func(s *summary) int {
		switch s.good {
		case 0:
			return -1
		case s.n:
			return 1
		}
		return 0
	}
	apart := s.share() - old.share()
	return old.n < enough && s.n >= enough || all(s) != all(old) || apart >= otherShare || -apart >= otherShare ||
		s.wrong != old.wrong || s.pinged != old.pinged || s.good > 0 && s.status != old.status ||
		s.good > 0 && old.good > 0 && (times(s.p90, old.p90) || times(old.p90, s.p90))
}
