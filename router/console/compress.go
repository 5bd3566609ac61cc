package console

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// send writes a body, compressed where the browser takes that.
func (c *Console) send(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Add("Vary", "Accept-Encoding")
	if len(body) > 1<<10 && takesGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		body = zip(body)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}

var zippers = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

func zip(body []byte) []byte {
	var buf bytes.Buffer
	z := zippers.Get().(*gzip.Writer)
	defer zippers.Put(z)
	z.Reset(&buf)
	z.Write(body) // a buffer takes everything
	z.Close()
	return buf.Bytes()
}

// takesGzip says whether a browser takes compressed answers.
func takesGzip(r *http.Request) bool {
	for one := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(one, " ", ""), ";")
		if name == "gzip" && weight != "q=0" {
			return true
		}
	}
	return false
}
