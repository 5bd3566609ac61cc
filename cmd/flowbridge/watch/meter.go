package watch

import (
	"sync"
	"time"

	"flowbridge/router/whatsapp"
)

const (
	// slow is within what Meta asks for an answer, and late is what no post needs that was not refused before.
	slow, late = time.Second, 10 * time.Minute
	minutes    = 60
)

// Meter counts posts, minute by minute, for an hour.
type Meter struct {
	mu    sync.Mutex
	since time.Time
	ring  [minutes]counts
}

// counts are those of a minute, or of several.
type counts struct {
	minute                 int64 // since 1970
	posts, slow, good, bad int64
	timed, late            int64 // good ones with an event, and those of them that came late
}

// NewMeter returns a Meter that begins now.
func NewMeter(now time.Time) *Meter { return &Meter{since: now} }

// Add counts a post.
func (m *Meter) Add(p whatsapp.Post) {
	m.mu.Lock()
	defer m.mu.Unlock()
	minute := p.At.Unix() / 60
	c := &m.ring[((minute%minutes)+minutes)%minutes]
	if c.minute != minute {
		*c = counts{minute: minute}
	}
	c.posts++
	if p.Took > slow {
		c.slow++
	}
	if p.Unsigned {
		c.bad++
	}
	if !p.Good || p.Drill {
		return
	}
	c.good++
	if p.Delay >= 0 {
		c.timed++
	}
	if p.Delay > late {
		c.late++
	}
}

// Posts are the counts of what came lately.
type Posts struct {
	Covers                          time.Duration // how long it was counted: shorter windows than that are whole
	Last5, Last15, Before15, Last60 counts
}

// At returns what was counted up to a time.
func (m *Meter) At(now time.Time) (p Posts) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.Covers = now.Sub(m.since)
	for i := range m.ring {
		c, age := &m.ring[i], now.Unix()/60-m.ring[i].minute
		if age < 0 || age >= minutes {
			continue
		}
		p.Last60.add(c)
		switch {
		case age < 5:
			p.Last5.add(c)
			p.Last15.add(c)
		case age < 15:
			p.Last15.add(c)
		default:
			p.Before15.add(c)
		}
	}
	return p
}

func (c *counts) add(other *counts) {
	c.posts += other.posts
	c.slow += other.slow
	c.good += other.good
	c.bad += other.bad
	c.timed += other.timed
	c.late += other.late
}
