package router

import (
	"errors"
	"fmt"
	"io"
	"net/http"
)

// WholeBody is the body of a request that is read in one piece, within what all bodies at hand may take together. Those
// of the public address are.
type WholeBody interface {
	// Whole reads the body, of at most so many bytes. It may be called once. An error that is a *BodyFault says how the
	// request is to be answered; any other means that the body did not arrive.
	Whole(most int64) ([]byte, error)
}

// BodyFault is why a body was not read, and how its request is answered.
type BodyFault struct {
	Status     int
	Words      string // for the caller
	RetryAfter string // in seconds; "" where coming back would not help
}

func (f *BodyFault) Error() string { return f.Words }

// Answer answers the request. Its connection ends with that: the rest of the body is not read.
func (f *BodyFault) Answer(w http.ResponseWriter) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	w.Header().Set("Connection", "close")
	http.Error(w, f.Words, f.Status)
}

// BodyTooLarge is the fault of a body of more than so many bytes.
func BodyTooLarge(most int64) *BodyFault {
	return &BodyFault{Status: http.StatusRequestEntityTooLarge, Words: fmt.Sprintf("at most %d bytes", most)}
}

// ReadBody reads the body of a request, of at most so many bytes. Whoever takes what strangers post reads it with this.
func ReadBody(w http.ResponseWriter, r *http.Request, most int64) (body []byte, fault *BodyFault) {
	if r.ContentLength > most {
		return nil, BodyTooLarge(most)
	}
	var err error
	if whole, ok := r.Body.(WholeBody); ok {
		body, err = whole.Whole(most)
	} else {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	}
	switch {
	case err == nil:
		return body, nil
	case errors.As(err, &fault):
		return nil, fault
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, BodyTooLarge(most)
	}
	return nil, &BodyFault{Status: http.StatusBadRequest, Words: "the body did not arrive"} // the caller went away
}
