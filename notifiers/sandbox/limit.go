package sandbox

import "time"

// window allows so many calls in any stretch of time, the way both services count.
type window struct {
	most int // 0 means no limit
	per  time.Duration
	seen []time.Time // of the calls that count, oldest first
}

// take counts a call at now, or says how long until one is allowed; a refused call does not count.
func (w *window) take(now time.Time) (wait time.Duration, ok bool) {
	if w.most == 0 {
		return 0, true
	}
	for len(w.seen) > 0 && now.Sub(w.seen[0]) >= w.per {
		w.seen = w.seen[1:]
	}
	if len(w.seen) >= w.most {
		return w.seen[0].Add(w.per).Sub(now), false
	}
	w.seen = append(w.seen, now)
	return 0, true
}

// bucket allows a short burst and then one call every so often.
type bucket struct {
	burst int // 0 means no limit
	every time.Duration
	empty time.Time // when the last call that was granted is paid off
}

// take counts a call at now, or says how long until one is allowed.
func (b *bucket) take(now time.Time) (wait time.Duration, ok bool) {
	if b.burst == 0 {
		return 0, true
	}
	owed := b.empty
	if owed.Before(now) {
		owed = now
	}
	if ahead := owed.Sub(now) - time.Duration(b.burst-1)*b.every; ahead > 0 {
		return ahead, false
	}
	b.empty = owed.Add(b.every)
	return 0, true
}
