package console

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/julienschmidt/httprouter"
)

// blockingWriter is a reader who takes nothing for an hour.
type blockingWriter struct{ *httptest.ResponseRecorder }

func (w blockingWriter) Write(b []byte) (int, error) {
	time.Sleep(time.Hour)
	return w.ResponseRecorder.Write(b)
}

// TestWhoReadsTakesTurns asks at once, by the clock of the test: how long each waits says whose turn it was.
func TestWhoReadsTakesTurns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		works time.Duration // on an answer
		slow  bool          // nobody reads the answers
		want  time.Duration // until the last of four has its answer made
	}{
		{"one after another", 100 * time.Millisecond, false, 400 * time.Millisecond},
		{"those that read slowly hold nobody up", 100 * time.Millisecond, true, 400 * time.Millisecond},
		{"nobody waits for more than a second", time.Minute, false, time.Minute + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, made := time.Now(), make(chan time.Duration, 4)
				handle := make(turns, 1).each(func(w http.ResponseWriter, _ *http.Request, _ httprouter.Params) {
					time.Sleep(tt.works)
					made <- time.Since(began)
					_, _ = w.Write([]byte("an answer"))
				})
				var answered sync.WaitGroup
				for range 4 {
					var w http.ResponseWriter = httptest.NewRecorder()
					if tt.slow {
						w = blockingWriter{httptest.NewRecorder()}
					}
					answered.Go(func() { handle(w, httptest.NewRequest(http.MethodGet, "/", nil), nil) })
				}
				var last time.Duration
				for range 4 {
					last = <-made
				}
				answered.Wait()
				if last != tt.want {
					t.Errorf("the last answer is made after %v, want %v", last, tt.want)
				}
			})
		})
	}
}

func TestATurnIsGivenBackWhateverHappens(t *testing.T) {
	t.Parallel()
	mine := make(turns, 1)
	handle := mine.each(func(http.ResponseWriter, *http.Request, httprouter.Params) { panic("a fault") })
	func() {
		defer func() { _ = recover() }()
		handle(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil), nil)
	}()
	if len(mine) != 0 {
		t.Error("a turn is held by nobody")
	}
}
