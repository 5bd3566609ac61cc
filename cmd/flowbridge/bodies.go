package main

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"flowbridge/router"
)

// Bounds of the bodies that are held in memory. Whoever reaches the public address can post: a signature is checked
// once the body is there. So it is bytes that are bounded, as they arrive, and not requests: a place that is held by
// saying little would cost a stranger nothing.
const (
	// smallBody is what a body may have that always passes. Nearly all posts are that small.
	smallBody = 64 << 10
	// roomForLarge and roomForSmall are the bytes set aside for all larger bodies, and for all others.
	roomForLarge = 32 << 20
	roomForSmall = 16 << 20
	// firstChunk is set aside for a body before any of it has arrived; pieces grow with what arrives, up to pieceSize.
	firstChunk = 8 << 10
	pieceSize  = 64 << 10
	// leastCharge is what a body costs that is smaller: the request itself takes about as much.
	leastCharge = 4 << 10

	// A body has arrived within bodyGrace and its bytes at bodyRate, and never later than bodyTime.
	bodyGrace = 5 * time.Second
	bodyRate  = 16 << 10 // bytes a second
	bodyTime  = 15 * time.Second
)

// bodies are those of all public routes: what they may take together, and which have to give way.
type bodies struct {
	refusals *refusals
	now      func() time.Time
	pieces   sync.Pool // of *[pieceSize]byte: what strangers leave behind is used again at once

	mu           sync.Mutex
	left         *sync.Cond // a body has given room back, or has to
	small, large room
}

// room is memory for bodies of one size.
type room struct {
	most, held int64
	leaving    int64              // of held: what those who gave way are about to give back
	arriving   map[*body]struct{} // those that could give way; what has arrived whole is being answered
}

func newBodies(refusals *refusals) *bodies {
	s := &bodies{
		refusals: refusals, now: time.Now,
		small: room{most: roomForSmall, arriving: map[*body]struct{}{}},
		large: room{most: roomForLarge, arriving: map[*body]struct{}{}},
	}
	s.left = sync.NewCond(&s.mu)
	return s
}

// collector tells how much is held.
func (s *bodies) collector() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "flowbridge_body_bytes", Help: "Memory set aside for the bodies of posts at hand.",
	}, func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return float64(s.small.held + s.large.held)
	})
}

// within gives next requests whose bodies are read within the bounds.
func (s *bodies) within(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == http.NoBody {
			rememberUse(next).ServeHTTP(w, r)
			return
		}
		conn, answer, now := connectionOf(r.Context()), &answer{ResponseWriter: w}, s.now()
		b := &body{
			all: s, from: r.Body, length: r.ContentLength, route: r.URL.Path,
			conn: conn, header: w.Header(), deadlines: http.NewResponseController(w), started: now,
		}
		b.marks[0] = mark{at: now, arrived: -smallBody} // so that what has just begun is not the slowest
		b.marks[1] = b.marks[0]
		defer func() {
			s.release(b)
			if b.working {
				conn.endWork(answer.good())
			}
		}()
		r.Body = b
		w.Header().Set("Connection", "close") // until it has arrived: a rest that nobody reads must not hold the connection
		next.ServeHTTP(answer, r)
	})
}

// answer remembers whether a request was answered well.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	a.status = cmp.Or(a.status, status)
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) good() bool { return cmp.Or(a.status, http.StatusOK) < http.StatusMultipleChoices }

// body is that of one request.
type body struct {
	all       *bodies
	from      io.ReadCloser
	length    int64 // that its header says; -1 if it does not
	route     string
	conn      *connection
	header    http.Header // of the answer
	deadlines *http.ResponseController
	started   time.Time
	working   bool // it has arrived and is being answered

	displaced atomic.Bool // it had to give way

	// Under the lock of all.
	in      *room // nil: it is charged nothing
	charge  int64
	arrived int64
	marks   [2]mark // a second and more apart
}

// mark is how much of a body had arrived by when.
type mark struct {
	at      time.Time
	arrived int64
}

var errReadWhole = errors.New("the body of a public request is read whole: use router.ReadBody")

// Read refuses: what is read past the bounds would not be counted.
func (b *body) Read([]byte) (int, error) { return 0, errReadWhole }

func (b *body) Close() error { return b.from.Close() }

// Whole reads the body, piece by piece: what is set aside is at most twice what has arrived, and never more than the
// header says.
func (b *body) Whole(most int64) ([]byte, error) {
	data, err := b.read(most)
	if err == nil {
		b.all.stay(b)
		_ = b.deadlines.SetReadDeadline(time.Time{}) // else it would end the answer too
		b.header.Del("Connection")
		b.working = true
		b.conn.startWork()
		return data, nil
	}
	b.all.release(b)
	var fault *router.BodyFault
	switch {
	case errors.As(err, &fault):
		return nil, err
	case b.displaced.Load():
		return nil, b.all.refusals.busy(refusedDisplaced, b)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, b.all.refusals.busy(refusedSlow, b)
	}
	return nil, err
}

func (b *body) read(most int64) ([]byte, error) {
	limit := most + 1 // one more shows that there is too much
	if b.length >= 0 {
		limit = min(b.length, limit)
	}
	var pieces [][]byte
	defer func() { b.all.recycle(pieces) }()
	for arrived := int64(0); arrived < limit; {
		size := min(limit-arrived, max(arrived, firstChunk), pieceSize)
		if !b.all.take(b, max(arrived+size, leastCharge)) {
			if b.displaced.Load() {
				return nil, os.ErrDeadlineExceeded
			}
			return nil, b.all.refusals.busy(refusedNoRoom, b)
		}
		piece := b.all.piece(size)
		pieces = append(pieces, piece[:0])
		n, err := b.fill(piece, arrived)
		pieces[len(pieces)-1] = piece[:n]
		arrived += int64(n)
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
	}
	data := slices.Concat(pieces...)
	if int64(len(data)) > most {
		b.all.refusals.note(refusedTooLarge, b.route)
		return nil, router.BodyTooLarge(most)
	}
	return data, nil
}

// fill reads the next bytes of a body of which some have arrived.
func (b *body) fill(piece []byte, arrived int64) (n int, err error) {
	for n < len(piece) && err == nil {
		if err = b.setDeadline(arrived + int64(n)); err == nil {
			var more int
			more, err = b.from.Read(piece[n:])
			n += more
			b.all.progress(b, int64(more))
		}
	}
	return n, err
}

// setDeadline bounds how long the next bytes may take. It fails for a body that had to give way: whoever displaced it
// has set a deadline that is over, and this one must not stand in its place.
func (b *body) setDeadline(arrived int64) error {
	_ = b.deadlines.SetReadDeadline(bodyDeadline(b.started, arrived)) // a server in a test may have none
	if b.displaced.Load() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// bodyDeadline is when a body must have gone on, or ended, of which so many bytes have arrived.
func bodyDeadline(started time.Time, arrived int64) time.Time {
	return started.Add(min(bodyTime, bodyGrace+time.Duration(arrived)*time.Second/bodyRate))
}

// take sets n bytes aside for a body, in place of what it had. Where there is no room, the slowest gives way: to a
// small body always, to a large one if that is twice as fast. So bodies that are held back on purpose end first.
// Whoever gives way has left before its room is given to another.
func (s *bodies) take(b *body, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	into := &s.small
	if n > smallBody {
		into = &s.large
	}
	for !b.displaced.Load() {
		more := n
		if b.in == into {
			more -= b.charge
		}
		switch over := into.held + more - into.most; {
		case over <= 0:
			s.drop(b)
			into.held += n
			into.arriving[b] = struct{}{}
			b.in, b.charge = into, n
			return true
		case over <= into.leaving:
			s.left.Wait()
		case !s.displace(into, b):
			return false
		}
	}
	return false
}

// displace ends the slowest body of a room in favour of another one, if that is to be.
func (s *bodies) displace(r *room, favoured *body) bool {
	var slowest *body
	now, least := s.now(), 0.0
	for b := range r.arriving {
		if rate := b.rate(now); b != favoured && (slowest == nil || rate < least) {
			slowest, least = b, rate
		}
	}
	if slowest == nil || r == &s.large && 2*least > favoured.rate(now) {
		return false
	}
	delete(r.arriving, slowest)
	r.leaving += slowest.charge
	slowest.displaced.Store(true)
	_ = slowest.deadlines.SetReadDeadline(time.Unix(1, 0)) // which ends its read
	s.left.Broadcast()                                     // it may be waiting itself
	return true
}

// piece returns memory to read into.
func (s *bodies) piece(size int64) []byte {
	if size == pieceSize {
		if p, ok := s.pieces.Get().(*[pieceSize]byte); ok {
			return p[:]
		}
	}
	return make([]byte, size)
}

// recycle takes it back.
func (s *bodies) recycle(pieces [][]byte) {
	for _, p := range pieces {
		if cap(p) == pieceSize {
			s.pieces.Put((*[pieceSize]byte)(p[:pieceSize]))
		}
	}
}

// rate is how fast a body arrived during the last second or two, in bytes a second.
func (b *body) rate(now time.Time) float64 {
	return float64(b.arrived-b.marks[0].arrived) / max(now.Sub(b.marks[0].at), 100*time.Millisecond).Seconds()
}

// progress notes that n bytes more have arrived.
func (s *bodies) progress(b *body, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b.arrived += n
	if now := s.now(); now.Sub(b.marks[1].at) >= time.Second {
		b.marks = [2]mark{b.marks[1], {at: now, arrived: b.arrived}}
	}
}

// stay ends that a body can be displaced, unless it was.
func (s *bodies) stay(b *body) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.in != nil && !b.displaced.Load() {
		delete(b.in.arriving, b)
	}
}

// release gives back what a body was charged.
func (s *bodies) release(b *body) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(b)
}

func (s *bodies) drop(b *body) {
	if b.in == nil {
		return
	}
	if _, ok := b.in.arriving[b]; !ok && b.displaced.Load() {
		b.in.leaving -= b.charge
	}
	delete(b.in.arriving, b)
	b.in.held -= b.charge
	b.in, b.charge = nil, 0
	s.left.Broadcast()
}
