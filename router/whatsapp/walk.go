package whatsapp

import (
	"bytes"
	"iter"
)

// walker steps over JSON. Its methods return false for what they do not understand; of valid JSON they
// understand all. They do not notice every fault inside what they skip.
type walker struct {
	b []byte
	i int
}

// members calls f with each key of an object and its value, as it was written; a key that is written twice comes
// twice. It is false if raw, which must be valid JSON, is no object.
func members(raw []byte, f func(key, value []byte)) bool {
	w := walker{b: raw}
	return w.object(func(key []byte) bool {
		value, ok := w.value()
		if ok {
			f(unquote(key), value)
		}
		return ok
	})
}

// elements returns the elements of an array; any other value stands for an array of one. Missing and null are
// empty. raw must be valid JSON.
func elements(raw []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		switch {
		case isNull(raw):
		case raw[0] != '[':
			yield(raw)
		default:
			w := walker{b: raw}
			w.array(func() bool {
				value, ok := w.value()
				return ok && yield(value)
			})
		}
	}
}

// object calls member for each key, quotes included, standing at its value.
func (w *walker) object(member func(key []byte) bool) bool {
	return w.list('{', '}', func() bool {
		start := w.i
		if !w.skipString() {
			return false
		}
		key := w.b[start:w.i]
		w.space()
		if !w.take(':') {
			return false
		}
		w.space()
		return member(key)
	})
}

func (w *walker) array(element func() bool) bool { return w.list('[', ']', element) }

func (w *walker) list(open, end byte, element func() bool) bool {
	w.space()
	if !w.take(open) {
		return false
	}
	w.space()
	if w.take(end) {
		return true
	}
	for {
		w.space()
		if !element() {
			return false
		}
		w.space()
		if w.take(end) {
			return true
		}
		if !w.take(',') {
			return false
		}
	}
}

// value passes over a value and returns it.
func (w *walker) value() (value []byte, ok bool) {
	start := w.i
	ok = w.skip()
	end := w.i
	for end > start && isSpace(w.b[end-1]) {
		end--
	}
	return w.b[start:end], ok
}

// skip passes over any value, and over the white space behind a number or a word.
func (w *walker) skip() bool {
	depth := 0
	for w.i < len(w.b) {
		switch w.b[w.i] {
		case '"':
			if !w.skipString() {
				return false
			}
			if depth == 0 {
				return true
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return true // the end of what holds this value, a number or a word
			}
			if depth--; depth == 0 {
				w.i++
				return true
			}
		case ',':
			if depth == 0 {
				return true
			}
		}
		w.i++
	}
	return false
}

func (w *walker) skipString() bool {
	if !w.take('"') {
		return false
	}
	for {
		n := bytes.IndexByte(w.b[w.i:], '"')
		if n < 0 {
			return false
		}
		w.i += n + 1
		escapes := 0
		for j := w.i - 2; w.b[j] == '\\'; j-- { // ends at the opening quote at the latest
			escapes++
		}
		if escapes%2 == 0 {
			return true
		}
	}
}

func (w *walker) take(c byte) bool {
	if w.i < len(w.b) && w.b[w.i] == c {
		w.i++
		return true
	}
	return false
}

func (w *walker) space() {
	for w.i < len(w.b) && isSpace(w.b[w.i]) {
		w.i++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
