package console

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"flowbridge/router"
)

const notYet = `"note":"it is stored, and will show once what stands before it in the journal has been worked off"`

// TestAnActIsAnsweredOnceItIsFolded plays folds that take their time, in the time of a bubble.
func TestAnActIsAnsweredOnceItIsFolded(t *testing.T) {
	const acknowledge, silence = "/api/v1/incidents/42/acknowledge", "/api/v1/silences"
	gone := errors.New("gone")
	for _, tt := range []struct {
		name, path, body string
		progress         func(since time.Duration) (router.EventProgress, error)
		want             string
		least, most      time.Duration
	}{
		{"at once", acknowledge, "", func(time.Duration) (router.EventProgress, error) {
			return router.EventProgress{Folded: true, Outcome: "acknowledged INC-42"}, nil
		}, `"outcome":"acknowledged INC-42"`, 0, 10 * time.Millisecond},
		{"after a while", acknowledge, "", func(since time.Duration) (router.EventProgress, error) {
			return router.EventProgress{Folded: since > time.Second, Outcome: "acknowledged INC-42"}, nil
		}, `"outcome":"acknowledged INC-42"`, time.Second, 1100 * time.Millisecond},
		{"not while nobody folds", acknowledge, "", func(time.Duration) (router.EventProgress, error) {
			return router.EventProgress{}, nil
		}, notYet, foldWait, foldWait + foldSlowest},
		{"though the storage does not say how far the fold is", acknowledge, "",
			func(time.Duration) (router.EventProgress, error) {
				return router.EventProgress{}, gone
			}, notYet, 0, 10 * time.Millisecond},
		{"with timers of others due, which an act does not wait for", acknowledge, "",
			func(time.Duration) (router.EventProgress, error) {
				return router.EventProgress{Folded: true, Outcome: "acknowledged INC-42", Due: true}, nil
			}, `"outcome":"acknowledged INC-42"`, 0, 10 * time.Millisecond},
		{"once the incidents that a silence covers say so", silence, `{"flow": "1987937931743377", "for": "4h"}`,
			func(since time.Duration) (router.EventProgress, error) {
				return router.EventProgress{Folded: true, Outcome: "silence added", Due: since < time.Second}, nil
			}, `"outcome":"silence added"`, time.Second, 1100 * time.Millisecond},
		{"with timers that are due again and again", silence, `{"flow": "1987937931743377", "for": "4h"}`,
			func(time.Duration) (router.EventProgress, error) {
				return router.EventProgress{Folded: true, Outcome: "silence added", Due: true}, nil
			}, `"outcome":"silence added","note":"the incidents that it covers will show it soon"`, foldWait,
			foldWait + foldSlowest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, began := filledStore(), time.Now()
				s.fold = func() (router.EventProgress, error) { return tt.progress(time.Since(began)) }
				c, _ := newConsole(t, Config{}, s)
				resp := ask(c, "POST", tt.path, tt.body)
				if got := text(t, resp); resp.StatusCode != 202 || !strings.Contains(got, `"queued":true`) ||
					!strings.Contains(got, tt.want) {
					t.Errorf("%s %s, want %s", resp.Status, got, tt.want)
				}
				if took := time.Since(began); took < tt.least || took > tt.most {
					t.Errorf("answered after %s, want %s to %s", took, tt.least, tt.most)
				}
				if len(s.appended) != 1 {
					t.Errorf("journal: %+v", s.appended)
				}
			})
		})
	}
}

// TestManyAreAcknowledgedAtOnce holds that whoever acknowledges many waits once while nobody folds, and that all of
// them are written.
func TestManyAreAcknowledgedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := filledStore()
		s.fold = func() (router.EventProgress, error) { return router.EventProgress{}, nil }
		form := url.Values{}
		for number := int64(50); number < 50+maxTogether; number++ {
			one := s.incidents[0]
			one.Number = number
			s.incidents = append(s.incidents, one)
			form.Add("n", fmt.Sprint(number))
		}
		c, _ := newConsole(t, Config{}, s)
		b, began := newBrowser(t, c), time.Now()
		resp, _ := b.do("POST", "/acknowledge", form)
		if took := time.Since(began); resp.StatusCode != 303 || took > foldWait+foldSlowest ||
			len(s.appended) != maxTogether {
			t.Errorf("%s after %s, %d are written", resp.Status, took, len(s.appended))
		}
	})
}
