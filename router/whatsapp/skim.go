package whatsapp

import "bytes"

// onlyMessages says that every change of a post is of the field "messages", without decoding it. When
// flowbridge is the app's only callback URL nearly all posts are of that kind.
//
// It never says so of a post that holds another change: whatever it does not understand (an escape in a key,
// a key in other letter case, an entry without changes) it leaves to Decode. It does not notice every fault of
// JSON inside what it skips.
func onlyMessages(body []byte) bool {
	s := skimmer{b: body}
	entries := 0
	ok := s.object(func(key []byte) bool {
		return s.pick(key, "entry", func() bool {
			return s.array(func() bool { entries++; return s.entry() })
		})
	})
	s.space()
	return ok && entries > 0 && s.i == len(s.b)
}

// skimmer walks over JSON. Its methods return false for what they do not understand.
type skimmer struct {
	b []byte
	i int
}

func (s *skimmer) entry() bool {
	changes := 0
	return s.object(func(key []byte) bool {
		if bytes.EqualFold(key, []byte("changed_fields")) {
			return false
		}
		return s.pick(key, "changes", func() bool {
			return s.array(func() bool { changes++; return s.change() })
		})
	}) && changes > 0
}

func (s *skimmer) change() bool {
	messages := false
	return s.object(func(key []byte) bool {
		return s.pick(key, "field", func() bool {
			value, ok := s.str()
			messages = ok && string(value) == "messages"
			return messages
		})
	}) && messages
}

// pick handles the value of a wanted key and skips every other. The decoder takes keys in any letter case;
// a wanted one that is spelled otherwise is left to it.
func (s *skimmer) pick(key []byte, want string, value func() bool) bool {
	switch {
	case string(key) == want:
		return value()
	case bytes.EqualFold(key, []byte(want)):
		return false
	}
	return s.skip()
}

// object calls member for each key, standing at its value.
func (s *skimmer) object(member func(key []byte) bool) bool {
	return s.list('{', '}', func() bool {
		key, ok := s.str()
		s.space()
		if !ok || !s.take(':') {
			return false
		}
		s.space()
		return member(key)
	})
}

func (s *skimmer) array(element func() bool) bool { return s.list('[', ']', element) }

func (s *skimmer) list(open, end byte, element func() bool) bool {
	s.space()
	if !s.take(open) {
		return false
	}
	s.space()
	if s.take(end) {
		return true
	}
	for {
		s.space()
		if !element() {
			return false
		}
		s.space()
		if s.take(end) {
			return true
		}
		if !s.take(',') {
			return false
		}
	}
}

// str reads a string without escapes.
func (s *skimmer) str() (value []byte, ok bool) {
	start := s.i + 1
	if !s.skipString() {
		return nil, false
	}
	value = s.b[start : s.i-1]
	return value, bytes.IndexByte(value, '\\') < 0
}

func (s *skimmer) skipString() bool {
	if !s.take('"') {
		return false
	}
	for {
		n := bytes.IndexByte(s.b[s.i:], '"')
		if n < 0 {
			return false
		}
		s.i += n + 1
		escapes := 0
		for j := s.i - 2; s.b[j] == '\\'; j-- { // ends at the opening quote at the latest
			escapes++
		}
		if escapes%2 == 0 {
			return true
		}
	}
}

// skip passes over any value.
func (s *skimmer) skip() bool {
	depth := 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			if !s.skipString() {
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
				s.i++
				return true
			}
		case ',':
			if depth == 0 {
				return true
			}
		}
		s.i++
	}
	return false
}

func (s *skimmer) take(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *skimmer) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}
