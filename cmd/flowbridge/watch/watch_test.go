package watch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"flowbridge/router"
	"flowbridge/router/whatsapp"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// judged is what is wrong after a look, and what is left as it is: "BRIDGE_DELAY/arrival LATE", "BRIDGE_DELAY/arrival
// left".
func judged(l Look, was map[string]string) string {
	var words []string
	seen := map[string]bool{}
	for _, f := range Judge(l, func(signal, id string) string { return was[signal+"/"+id] }) {
		seen[f.Signal+"/"+f.ID] = true
		if f.Word != "" {
			words = append(words, f.ID+" "+f.Word)
			if len(f.Facts) == 0 {
				words = append(words, "without facts")
			}
		}
	}
	for _, id := range []string{router.SourceSilent + "/source", router.SlowAnswers + "/answers", router.BridgeDelay +
		"/arrival", router.BadSignatures + "/signatures"} {
		if !seen[id] {
			_, name, _ := strings.Cut(id, "/")
			words = append(words, name+" left")
		}
	}
	return strings.Join(words, ", ")
}

func TestJudge(t *testing.T) {
	const day = 24 * time.Hour
	long := Posts{Covers: 2 * time.Hour}
	ago := func(d time.Duration) time.Time { return noon.Add(-d) }
	in := func(d time.Duration) []Certificate {
		return []Certificate{{Name: "public", File: "cert.pem", Ends: noon.Add(d)}}
	}
	was := func(signal, id, word string) map[string]string { return map[string]string{signal + "/" + id: word} }
	silent, slow := was(router.SourceSilent, "source", router.SilentWord),
		was(router.SlowAnswers, "answers", router.SlowWord)
	rising, refused := was(router.BadSignatures, "signatures", router.RisingWord),
		was(router.BadSignatures, "signatures", router.AllRefusedWord)
	late, nearly := was(router.BridgeDelay, "arrival", router.LateWord),
		was(router.StorageFull, "storage", router.NearlyFullWord)
	for _, tt := range []struct {
		name string
		look Look
		was  map[string]string
		want string
	}{
		{"nothing is known, nothing is wrong", Look{Posts: long}, nil, ""},
		{"a post came in time", Look{Posts: long, Silence: day, Last: ago(day - time.Second)}, nil, ""},
		{"no post for a day", Look{Posts: long, Silence: day, Last: ago(day)}, nil, "source SILENT"},
		{"silence is no trouble", Look{Posts: long, Last: ago(99 * day)}, silent, ""},
		{"it has just started: the post may be on its way", Look{Posts: long, Silence: day, Last: ago(3 * day),
			Settling: true}, nil, "source left"},
		{"it was silent before it was started anew", Look{Posts: long, Silence: day, Last: ago(3 * day), Settling: true},
			silent, "source SILENT"},
		{"a post came", Look{Posts: long, Silence: day, Last: ago(0)}, silent, ""},

		{"one in twenty is slow", Look{Posts: Posts{Covers: day, Last5: counts{posts: 40, slow: 2}}}, nil, ""},
		{"more than that", Look{Posts: Posts{Covers: day, Last5: counts{posts: 40, slow: 3}}}, nil, "answers SLOW"},
		{"too few to say", Look{Posts: Posts{Covers: day, Last5: counts{posts: 19, slow: 19}}}, nil, ""},
		{"fast again, and not for long", Look{Posts: Posts{Covers: day, Last5: counts{posts: 40},
			Last15: counts{posts: 50, slow: 5}}}, slow, "answers left"},
		{"fast again", Look{Posts: Posts{Covers: day, Last5: counts{posts: 40}, Last15: counts{posts: 100, slow: 5}}},
			slow, ""},
		{"started anew", Look{Posts: Posts{Covers: time.Minute}}, slow, "answers left"},

		{"one late post", Look{Posts: Posts{Covers: day, Last15: counts{timed: 1, late: 1}}}, nil, ""},
		{"most are late", Look{Posts: Posts{Covers: day, Last15: counts{timed: 5, late: 3}}}, nil, "arrival LATE"},
		{"most of the hour are late", Look{Posts: Posts{Covers: day, Last15: counts{timed: 5},
			Last60: counts{timed: 9, late: 5}}}, late, "arrival left"},
		{"in time again", Look{Posts: Posts{Covers: day, Last15: counts{timed: 5}, Last60: counts{timed: 10, late: 5}}},
			late, ""},

		{"a stranger tries", Look{Posts: Posts{Covers: day, Last15: counts{bad: 19}, Last60: counts{bad: 19, good: 1}}},
			nil, ""},
		{"many try", Look{Posts: Posts{Covers: day, Last15: counts{bad: 20}, Before15: counts{bad: 19},
			Last60: counts{bad: 39, good: 1}}}, nil, "signatures RISING"},
		{"as many as ever", Look{Posts: Posts{Covers: day, Last15: counts{bad: 20}, Before15: counts{bad: 20},
			Last60: counts{bad: 40, good: 1}}}, nil, ""},
		{"no more rise, still many", Look{Posts: Posts{Covers: day, Last15: counts{bad: 10}, Before15: counts{bad: 90},
			Last60: counts{bad: 100, good: 1}}}, rising, "signatures left"},
		{"few again", Look{Posts: Posts{Covers: day, Last15: counts{bad: 9}, Before15: counts{bad: 90},
			Last60: counts{bad: 99, good: 1}}}, rising, ""},
		{"not one is good", Look{Posts: Posts{Covers: day, Last60: counts{bad: 5}}}, nil, "signatures ALL_REFUSED"},
		{"not one is good, and it has just started", Look{Posts: Posts{Covers: time.Minute, Last60: counts{bad: 5}}},
			nil, ""},
		{"it was started anew meanwhile", Look{Posts: Posts{Covers: time.Minute}}, refused, "signatures left"},
		{"a good one", Look{Posts: Posts{Covers: day, Last60: counts{bad: 50, good: 1}}}, refused, ""},

		{"renewed", Look{Posts: long, Certificates: in(14*day + 1)}, nil, ""},
		{"ends in 14 days", Look{Posts: long, Certificates: in(14 * day)}, nil, "public ENDS_SOON"},
		{"ends in 3 days", Look{Posts: long, Certificates: in(3 * day)}, nil, "public ENDS_VERY_SOON"},
		{"has ended", Look{Posts: long, Certificates: in(0)}, nil, "public ENDED"},

		{"the fold is slow", Look{Posts: long, Fold: foldStands - 1}, nil, ""},
		{"the fold stands", Look{Posts: long, Fold: foldStands}, nil, "fold FOLD"},
		{"a lane stands", Look{Posts: long, Notifiers: []string{"chat", "page"},
			Lanes: map[string]time.Duration{"page": laneStands, "chat": time.Second}}, nil, "lane page LANE"},

		{"half of a small disk is free", Look{Posts: long, Disk: &Disk{Free: 2 << 30, Size: 4 << 30}}, nil, ""},
		{"a twentieth of a large one is much", Look{Posts: long, Disk: &Disk{Free: 50 << 30, Size: 1000 << 30}}, nil, ""},
		{"little", Look{Posts: long, Disk: &Disk{Free: 3 << 30, Size: 40 << 30}}, nil, "storage NEARLY_FULL"},
		{"a little more is not enough", Look{Posts: long, Disk: &Disk{Free: 5 << 30, Size: 40 << 30}}, nearly,
			"storage NEARLY_FULL"},
		{"room again", Look{Posts: long, Disk: &Disk{Free: 7 << 30, Size: 40 << 30}}, nearly, ""},
		{"nothing", Look{Posts: long, Disk: &Disk{Free: 100 << 20, Size: 40 << 30}}, nearly, "storage FULL"},
	} {
		tt.look.Now = noon
		if diff := cmp.Diff(tt.want, judged(tt.look, tt.was)); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.name, diff)
		}
	}
}

func TestUsual(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name   string
		first  time.Duration // before now; 0: none
		pauses []time.Duration
		want   time.Duration
	}{
		{"nothing ever came", 0, nil, day},
		{"a week is not known yet", 6 * day, []time.Duration{2 * time.Hour, 2 * time.Hour}, day},
		{"busy day and night", 28 * day, nil, time.Hour},
		{"quiet at night", 28 * day, []time.Duration{6 * time.Hour, 5 * time.Hour, 6 * time.Hour}, 12 * time.Hour},
		{"an outage teaches nothing", 28 * day, []time.Duration{5 * time.Hour, 90 * time.Hour, 6 * time.Hour},
			12 * time.Hour},
		{"once in a while", 28 * day, []time.Duration{6 * day, 5 * day}, 7 * day},
	} {
		first := time.Time{}
		if tt.first > 0 {
			first = noon.Add(-tt.first)
		}
		if got := Usual(noon, first, tt.pauses); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestTheMeterForgetsWhatIsOld(t *testing.T) {
	m := NewMeter(noon.Add(-2 * time.Hour))
	for i, p := range []whatsapp.Post{
		{At: noon.Add(-61 * time.Minute), Good: true, Took: 9 * time.Second},
		{At: noon.Add(-59 * time.Minute), Unsigned: true},
		{At: noon.Add(-20 * time.Minute), Good: true, Delay: time.Hour},
		{At: noon.Add(-14 * time.Minute), Good: true, Delay: -1},
		{At: noon.Add(-4 * time.Minute), Good: true, Delay: time.Second, Took: 2 * time.Second},
		{At: noon, Good: true, Drill: true, Delay: time.Hour},
		{At: noon},
	} {
		m.Add(p)
		if i == 0 {
			if got := m.At(noon.Add(-61 * time.Minute)).Last5; got.posts != 1 || got.slow != 1 {
				t.Errorf("at once: %+v", got)
			}
		}
	}
	got := m.At(noon)
	want := Posts{
		Covers: 2 * time.Hour,
		Last5:  counts{posts: 3, slow: 1, good: 1, timed: 1}, Last15: counts{posts: 4, slow: 1, good: 2, timed: 1},
		Before15: counts{posts: 2, bad: 1, good: 1, timed: 1, late: 1}, Last60: counts{posts: 6, slow: 1, bad: 1, good: 3,
			timed: 2, late: 1},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}
