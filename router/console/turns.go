package console

import (
	"net/http"
	"runtime"
	"time"

	"github.com/julienschmidt/httprouter"
)

// longestTurn is how long a request waits for its turn at most: a slow answer of the database keeps nobody for longer.
const longestTurn = time.Second

// turns are held by requests that read while they are worked on. There are half as many as processors and two at most,
// so that people who look, however many, leave processors and connections to what Meta posts and to pages that go out.
type turns chan struct{}

func newTurns() turns { return make(turns, min(max(1, runtime.GOMAXPROCS(0)/2), 2)) }

// each makes a handler wait for a turn. It gives the turn back with the first byte of its answer, which is whole then:
// a slow reader holds nothing.
func (t turns) each(next httprouter.Handle) httprouter.Handle {
	return func(w http.ResponseWriter, r *http.Request, p httprouter.Params) {
		late := time.NewTimer(longestTurn)
		defer late.Stop()
		select {
		case t <- struct{}{}:
			held := &turnWriter{ResponseWriter: w, turns: t}
			defer held.giveBack()
			w = held
		case <-late.C: // without one
		case <-r.Context().Done():
			return
		}
		next(w, r, p)
	}
}

// turnWriter gives a turn back once, before it writes.
type turnWriter struct {
	http.ResponseWriter
	turns turns
	given bool
}

func (w *turnWriter) giveBack() {
	if !w.given {
		w.given = true
		<-w.turns
	}
}

func (w *turnWriter) WriteHeader(status int) {
	w.giveBack()
	w.ResponseWriter.WriteHeader(status)
}

func (w *turnWriter) Write(b []byte) (int, error) {
	w.giveBack()
	return w.ResponseWriter.Write(b)
}

// Unwrap serves http.ResponseController.
func (w *turnWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
