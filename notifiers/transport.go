package notifiers

import "net/http"

// MaxAnswerHeader bounds the header of an answer, in bytes. A service sends some hundred; without a bound of ours a server
// that answers in its place could send ten million for each call.
const MaxAnswerHeader = 64 << 10

// NewTransport returns what every HTTP client of ours goes through: that of the library, with answers bounded. Bodies are
// bounded by whoever reads them.
func NewTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes = MaxAnswerHeader
	return t
}
