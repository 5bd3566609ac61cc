package whatsapp

import "bytes"

// onlyMessages says whether every change of a post is of the field messages, and how many there are, without
// decoding it. When flowbridge is the app's only callback URL nearly all posts are of that kind.
//
// It never says so of a post that holds anything else: whatever it does not understand (an escape in a key, an
// entry without changes) it leaves to Decode. A fault of JSON inside what it skips goes unnoticed: there is
// nothing in a message that we would keep.
func onlyMessages(body []byte) (changes int, ok bool) {
	w := walker{b: body}
	ok = w.object(func(key []byte) bool {
		if string(key) != `"entry"` {
			return w.skipUnder(key)
		}
		return w.array(func() bool {
			n := w.messageChanges()
			changes += n
			return n > 0
		})
	})
	w.space()
	return changes, ok && changes > 0 && w.i == len(w.b)
}

// messageChanges passes over an entry and counts its changes; 0 if one of them is of another field.
func (w *walker) messageChanges() (changes int) {
	ok := w.object(func(key []byte) bool {
		switch string(key) {
		case `"changes"`:
			return w.array(func() bool { changes++; return w.messageChange() })
		case `"changed_fields"`:
			return false
		}
		return w.skipUnder(key)
	})
	if !ok {
		return 0
	}
	return changes
}

func (w *walker) messageChange() (is bool) {
	return w.object(func(key []byte) bool {
		if string(key) != `"field"` {
			return w.skipUnder(key)
		}
		start := w.i
		is = w.skipString() && string(w.b[start:w.i]) == `"`+fieldMessages+`"`
		return is
	}) && is
}

// skipUnder passes over the value of a key that is none of ours, if that is certain.
func (w *walker) skipUnder(key []byte) bool {
	return bytes.IndexByte(key, '\\') < 0 && w.skip()
}
