// Package watch decides what is wrong with the bridge itself: its source is silent, posts come late, answers are slow,
// a certificate ends, something stands still. It is pure: what was seen goes in, findings come out. To look, to write
// findings to the journal and to call a heartbeat is left to the program.
package watch

import (
	"fmt"
	"time"

	"flowbridge/router"
)

// Look is what was seen of the bridge at a time.
type Look struct {
	Now time.Time
	// Silence is how long nothing may come from Meta; 0: that is no trouble. Last is when the last well-signed post came,
	// to whichever process, or else since when some could have come. Settling says that this process has just started:
	// what was sent while none ran is perhaps still on its way.
	Silence  time.Duration
	Last     time.Time
	Settling bool

	Posts        Posts
	Certificates []Certificate
	Fold         time.Duration            // for how long events have waited without one being folded; 0 where none waits
	Notifiers    []string                 // all of them
	Lanes        map[string]time.Duration // for how long deliveries that are due have not been tried
	Disk         *Disk                    // of the database; nil where that is elsewhere, or cannot be seen
}

// Certificate is that of one address.
type Certificate struct {
	Name string // "public" or "admin"
	File string
	Ends time.Time
}

// Addresses lists the names of certificates.
func Addresses() []string { return []string{"public", "admin"} }

// Disk is the room on the disk of the database, in bytes.
type Disk struct{ Free, Size uint64 }

// Finding is how it stands with one thing: the word of its signal that is reached, or "" where it is well.
type Finding struct {
	Signal string
	ID     string // of the subject: "source", "public"
	Name   string // of the subject, for people
	Word   string
	Facts  []router.Fact
}

// Subject returns what the finding is about.
func (f *Finding) Subject() router.Subject {
	return router.Subject{Kind: router.SubjectBridge, ID: f.ID, Name: f.Name}
}

// Bounds.
const (
	leastPosts  = 20 // of which it can be said that many are slow
	leastTimed  = 5  // of which it can be said that they come late
	leastBad    = 20 // bad signatures in 15 minutes that are a rise
	leastAllBad = 5  // in an hour without a good one
	fewBad      = 10

	endsSoon, endsVerySoon = 14 * 24 * time.Hour, 3 * 24 * time.Hour

	foldStands, laneStands = 2 * time.Minute, 5 * time.Minute

	nearlyFull, roomAgain = 5 << 30, 6 << 30 // bytes; more than a tenth of the disk is enough in any case
	full                  = 256 << 20
)

// Judge says how it stands with everything that is watched. was returns the word that a thing has by now, "" where it
// is well: what has begun ends later than it began, so that nothing comes and goes. What cannot be judged yet is left
// out, and stays as it is.
func Judge(l Look, was func(signal, id string) string) (all []Finding) {
	all = append(all, silence(l, was)...)
	all = append(all, posts(&l.Posts, was)...)
	for _, name := range Addresses() {
		f := Finding{Signal: router.CertificateEnds, ID: name, Name: name + " address"}
		for _, c := range l.Certificates {
			if c.Name == name {
				f = certificate(l.Now, c)
			}
		}
		all = append(all, f)
	}
	all = append(all, stalls(l)...)
	if l.Disk != nil {
		all = append(all, disk(*l.Disk, was(router.StorageFull, "storage")))
	}
	return all
}

func silence(l Look, was func(signal, id string) string) []Finding {
	f := Finding{Signal: router.SourceSilent, ID: "source", Name: "flowbridge"}
	lasted := l.Now.Sub(l.Last)
	switch {
	case l.Silence <= 0 || lasted < l.Silence:
		return []Finding{f}
	case l.Settling && was(f.Signal, f.ID) == "":
		return nil
	}
	f.Word = router.SilentWord
	f.Facts = []router.Fact{{Name: "Last post", Text: moment(l.Last)},
		{Name: "Usual", Text: "at least one in " + router.FormatDuration(l.Silence)}}
	return []Finding{f}
}

func posts(p *Posts, was func(signal, id string) string) (all []Finding) {
	if f := slowAnswers(p, was(router.SlowAnswers, "answers")); f != nil {
		all = append(all, *f)
	}
	if f := delay(p, was(router.BridgeDelay, "arrival")); f != nil {
		all = append(all, *f)
	}
	if f := signatures(p, was(router.BadSignatures, "signatures")); f != nil {
		all = append(all, *f)
	}
	return all
}

// slowAnswers: more than one in twenty of the last five minutes' posts took longer than Meta waits, which is what a
// 95th percentile over a second says. It ends when that was so in none of the last 15 minutes taken together.
func slowAnswers(p *Posts, was string) *Finding {
	f := Finding{Signal: router.SlowAnswers, ID: "answers", Name: "flowbridge"}
	switch many := func(c counts) bool { return c.slow*20 > c.posts }; {
	case p.Last5.posts >= leastPosts && many(p.Last5):
		f.Word = router.SlowWord
		f.Facts = share("Slower than 1 s", p.Last5.slow, p.Last5.posts, "5 min")
	case was != "" && (p.Covers < 15*time.Minute || many(p.Last15)):
		return nil
	}
	return &f
}

// delay: more than half of the posts of the last 15 minutes name a time more than ten minutes before.
func delay(p *Posts, was string) *Finding {
	f := Finding{Signal: router.BridgeDelay, ID: "arrival", Name: "flowbridge"}
	switch many := func(c counts) bool { return c.late*2 > c.timed }; {
	case p.Last15.timed >= leastTimed && many(p.Last15):
		f.Word = router.LateWord
		f.Facts = share("Later than 10 min", p.Last15.late, p.Last15.timed, "15 min")
	case was != "" && (p.Covers < time.Hour || many(p.Last60)):
		return nil
	}
	return &f
}

// signatures: bad ones are a rise when there are many, and more than in the whole time before, which is three times as
// long; and worse when not one good one came in an hour.
func signatures(p *Posts, was string) *Finding {
	f := Finding{Signal: router.BadSignatures, ID: "signatures", Name: "flowbridge"}
	all := p.Last60.bad >= leastAllBad && p.Last60.good == 0
	rising := p.Last15.bad >= leastBad && p.Last15.bad > p.Before15.bad
	switch {
	case all && (p.Covers >= time.Hour || was == router.AllRefusedWord):
		f.Word = router.AllRefusedWord
		f.Facts = share("Bad signatures", p.Last60.bad, p.Last60.bad+p.Last60.good, "60 min")
	case rising:
		f.Word = router.RisingWord
		f.Facts = share("Bad signatures", p.Last15.bad, p.Last15.bad+p.Last15.good, "15 min")
	case was == router.RisingWord && (p.Covers < 15*time.Minute || p.Last15.bad >= fewBad),
		was == router.AllRefusedWord && p.Last60.good == 0 && (p.Covers < time.Hour || p.Last60.bad > 0):
		return nil
	}
	return &f
}

func share(name string, n, of int64, in string) []router.Fact {
	return []router.Fact{{Name: name, Text: fmt.Sprintf("%d of %d posts in %s", n, of, in)}}
}

func certificate(now time.Time, c Certificate) Finding {
	f := Finding{Signal: router.CertificateEnds, ID: c.Name, Name: c.Name + " address"}
	switch left := c.Ends.Sub(now); {
	case left > endsSoon:
		return f
	case left > endsVerySoon:
		f.Word = router.EndsSoonWord
	case left > 0:
		f.Word = router.EndsVerySoonWord
	default:
		f.Word = router.EndedWord
	}
	f.Facts = []router.Fact{{Name: "Ends", Text: moment(c.Ends)}, {Name: "File", Text: c.File}}
	return f
}

// stalls finds what stands still. That the fold does is written to the journal like the rest, and is told once it gets
// on; the heartbeat, which ends, says so before.
func stalls(l Look) (all []Finding) {
	f := Finding{Signal: router.BridgeStalled, ID: "fold", Name: "flowbridge"}
	if l.Fold >= foldStands {
		f.Word = router.FoldStallsWord
		f.Facts = []router.Fact{{Name: "Since", Text: moment(l.Now.Add(-l.Fold))}}
	}
	all = append(all, f)
	for _, notifier := range l.Notifiers {
		f := Finding{Signal: router.BridgeStalled, ID: "lane " + notifier, Name: notifier}
		if d := l.Lanes[notifier]; d >= laneStands {
			f.Word = router.LaneStallsWord
			f.Facts = []router.Fact{{Name: "Since", Text: moment(l.Now.Add(-d))}}
		}
		all = append(all, f)
	}
	return all
}

func disk(d Disk, was string) Finding {
	f := Finding{Signal: router.StorageFull, ID: "storage", Name: "flowbridge"}
	bound := uint64(nearlyFull)
	if was != "" {
		bound = roomAgain
	}
	switch tenth := d.Size / 10; {
	case d.Free < full:
		f.Word = router.FullWord
	case d.Free < bound && (d.Free < tenth || was != "" && d.Free < tenth+d.Size/20):
		f.Word = router.NearlyFullWord
	default:
		return f
	}
	f.Facts = []router.Fact{{Name: "Free", Text: fmt.Sprintf("%d MB of %d GB", d.Free>>20, d.Size>>30)}}
	return f
}

// Silence bounds of `after: auto`.
const (
	LeastSilence, MostSilence = time.Hour, 7 * 24 * time.Hour
	UnknownSilence            = 24 * time.Hour // until a week is known
	Learned                   = 28 * 24 * time.Hour
)

// Usual returns how long nothing may come, learned from the pauses of the last four weeks and from when the first post
// of them came: twice the second longest, so that an outage does not teach that silence is usual.
func Usual(now, first time.Time, pauses []time.Duration) time.Duration {
	if first.IsZero() || now.Sub(first) < 7*24*time.Hour {
		return UnknownSilence
	}
	var longest, second time.Duration
	for _, p := range pauses {
		if p > longest {
			longest, second = p, longest
		} else {
			second = max(second, p)
		}
	}
	return min(max(2*second, LeastSilence), MostSilence)
}

func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
