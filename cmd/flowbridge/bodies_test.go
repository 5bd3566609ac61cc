package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"flowbridge/router"
)

func quietBodies() *bodies { return newBodies(newRefusals(slog.New(slog.DiscardHandler))) }

func TestABodyIsReadWhole(t *testing.T) {
	t.Parallel()
	const most = 300_000
	s := quietBodies()
	var got []byte
	h := s.within(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, fault := router.ReadBody(w, r, most)
		if fault != nil {
			fault.Answer(w)
			return
		}
		got = body
	}))
	for _, size := range []int{1, 4096, firstChunk - 1, firstChunk, firstChunk + 1, pieceSize, pieceSize + 1, most - 1,
		most, most + 1} {
		for name, read := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r },
			"by halves": iotest.HalfReader, "with the end": iotest.DataErrReader} {
			for _, chunked := range []bool{false, true} {
				sent := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
				r := httptest.NewRequest(http.MethodPost, "/", struct{ io.Reader }{read(bytes.NewReader(sent))})
				if r.ContentLength = int64(size); chunked {
					r.ContentLength = -1
				}
				got = nil
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if want := map[bool]int{true: http.StatusOK,
					false: http.StatusRequestEntityTooLarge}[size <= most]; w.Code != want {
					t.Errorf("%d bytes, %s, chunked %v: answered %d, want %d", size, name, chunked, w.Code, want)
				}
				if size <= most && !bytes.Equal(got, sent) {
					t.Errorf("%d bytes, %s, chunked %v: %d other bytes arrived", size, name, chunked, len(got))
				}
			}
		}
	}
	if s.small.held+s.large.held != 0 || len(s.small.arriving)+len(s.large.arriving) != 0 {
		t.Errorf("not given back: %+v %+v", s.small, s.large)
	}
}

// pipes is a listener of connections in memory, so that a test can have its own time.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// TestABodyEndsByItsDeadline has bodies that arrive at several speeds, and what comes before a body.
func TestABodyEndsByItsDeadline(t *testing.T) {
	t.Parallel()
	const post = "POST / HTTP/1.1\r\nHost: bridge\r\nContent-Length: %d\r\n\r\n"
	for name, c := range map[string]struct {
		head         string
		length, rate int // bytes; a tenth of a second apart
		want         string
		after        time.Duration
	}{
		"at once":              {post, 1000, 1000, "200", 0},
		"nothing comes":        {post, 1000, 0, "503", 5 * time.Second},
		"it drips":             {post, 1000, 1, "503", 5 * time.Second},
		"slow and good enough": {post, 100_000, 2000, "200", 4900 * time.Millisecond},
		"large and slow":       {post, 3 << 20, 10_000, "503", 15 * time.Second},
		"large and fast":       {post, 3 << 20, 30_000, "200", 10400 * time.Millisecond},
		"no head":              {"POST / HTTP/1.1\r\n", 0, 0, "", 5 * time.Second},
		"nothing at all":       {"", 0, 0, "", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := quietBodies()
				server := newServer(s.within(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if _, fault := router.ReadBody(w, r, 3<<20); fault != nil {
						fault.Answer(w)
						return
					}
					if !router.Sleep(r.Context(), 10*time.Second) { // which the deadline of the body must not end
						t.Error("the request ended while it was being answered")
					}
				})), slog.New(slog.DiscardHandler))
				listener := make(pipes, 1)
				go func() { _ = server.Serve(listener) }()
				ours, theirs := net.Pipe()
				listener <- theirs
				started := time.Now()
				var sending sync.WaitGroup
				sending.Go(func() {
					if strings.Contains(c.head, "%d") {
						fmt.Fprintf(ours, c.head, c.length)
					} else {
						_, _ = io.WriteString(ours, c.head)
					}
					for left := c.length; left > 0 && c.rate > 0; left -= c.rate {
						if _, err := ours.Write(bytes.Repeat([]byte("x"), min(c.rate, left))); err != nil {
							return
						}
						time.Sleep(100 * time.Millisecond) // of the bubble's own time
					}
				})
				answer := make([]byte, 12)
				_, err := io.ReadFull(ours, answer)
				took := time.Since(started)
				if c.want == "200" {
					took -= 10 * time.Second
				}
				if got := strings.TrimPrefix(string(answer), "HTTP/1.1 "); c.want != "" && got != c.want || c.want == "" &&
					err == nil {
					t.Errorf("answered %q, %v; want %s", got, err, c.want)
				}
				if slack := took - c.after; slack < 0 || slack > 100*time.Millisecond {
					t.Errorf("it took %s, want %s", took, c.after)
				}
				ours.Close()
				sending.Wait()
				close(listener)
				synctest.Wait()
				if s.small.held+s.large.held != 0 {
					t.Errorf("not given back: %+v %+v", s.small, s.large)
				}
			})
		})
	}
}

// TestAConnectionThatIsIdleEnds has one that stays open after its request.
func TestAConnectionThatIsIdleEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := newServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
		listener := make(pipes, 1)
		go func() { _ = server.Serve(listener) }()
		ours, theirs := net.Pipe()
		listener <- theirs
		go func() { _, _ = io.WriteString(ours, "GET / HTTP/1.1\r\nHost: bridge\r\n\r\n") }()
		started := time.Now()
		if _, err := io.Copy(io.Discard, ours); err != nil {
			t.Error(err)
		}
		if took := time.Since(started); took != 30*time.Second {
			t.Errorf("it ended after %s, want 30s", took)
		}
		close(listener)
	})
}

// newBody is one that arrives at s.
func newBody(s *bodies, age time.Duration, arrived int64) *body {
	at := time.Now().Add(-age)
	return &body{all: s, deadlines: http.NewResponseController(httptest.NewRecorder()), arrived: arrived,
		marks: [2]mark{{at: at}, {at: at}}}
}

func TestTheSlowestBodyGivesWay(t *testing.T) {
	t.Parallel()
	type one struct {
		age     time.Duration
		arrived int64
		charge  int64
	}
	const slow, fast = 10 << 10, 1 << 20
	for name, c := range map[string]struct {
		others []one
		comes  one
		want   bool
		goes   int // index of the one that gives way; -1 for none
	}{
		"there is room": {[]one{{time.Second, slow, 50_000}}, one{0, 0, 50_000}, true, -1},
		"a small one takes the slowest's": {[]one{{time.Second, fast, 50_000}, {2 * time.Second, slow, 50_000},
			{time.Second, fast, 50_000}}, one{0, 0, 50_000}, true, 1},
		"a large one takes a slow one's": {[]one{{time.Second, fast, 2 << 20}, {2 * time.Second, slow, 2 << 20}},
			one{time.Second, fast, 2 << 20}, true, 1},
		"a large one waits for no equal": {[]one{{time.Second, fast, 2 << 20}, {time.Second, fast, 2 << 20}},
			one{time.Second, fast, 2 << 20}, false, -1},
		"large ones take no room of small":  {[]one{{time.Hour, slow, 50_000}}, one{time.Second, fast, 5 << 20}, false, -1},
		"small ones take no room of large":  {[]one{{time.Hour, slow, 4 << 20}}, one{0, 0, 50_000}, true, -1},
		"one grows in place of what it had": {[]one{{time.Hour, slow, 2 << 20}}, one{time.Second, fast, 2 << 20}, true, -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := quietBodies()
				s.small.most, s.large.most = 150_000, 4<<20
				var others []*body
				for _, o := range c.others {
					b := newBody(s, o.age, o.arrived)
					if !s.take(b, o.charge) {
						t.Fatal("there is no room to begin with")
					}
					others = append(others, b)
				}
				comes := newBody(s, c.comes.age, c.comes.arrived)
				took := make(chan bool, 1)
				go func() { took <- s.take(comes, c.comes.charge) }()
				synctest.Wait()
				if c.goes >= 0 {
					select {
					case <-took:
						t.Error("room was given away before it was free")
					default:
					}
					s.release(others[c.goes])
				}
				if got := <-took; got != c.want {
					t.Errorf("it has room: %v, want %v", got, c.want)
				}
				for i, o := range others {
					if o.displaced.Load() != (i == c.goes) {
						t.Errorf("%d gives way: %v", i, o.displaced.Load())
					}
					s.release(o)
				}
				s.release(comes)
				if s.small.held+s.large.held+s.small.leaving+s.large.leaving != 0 {
					t.Errorf("not given back: %+v %+v", s.small, s.large)
				}
			})
		})
	}
}

func TestARefusalIsCountedAndNamedOnce(t *testing.T) {
	t.Parallel()
	log := &logBuffer{}
	r := newRefusals(slog.New(slog.NewTextHandler(log, nil)))
	for range 5 {
		r.note(refusedSlow, "/webhooks/whatsapp")
	}
	if n := testutil.ToFloat64(r.counted.WithLabelValues(string(refusedSlow))); n != 5 {
		t.Errorf("counted %g, want 5", n)
	}
	if n := strings.Count(log.String(), refusalWords[refusedSlow]); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log)
	}
}
