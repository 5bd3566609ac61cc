package whatsapp

import (
	"bytes"

	"flowbridge/router"
)

// onlyIgnored says whether every change of a post is of a field that holds what people write and that nobody wants, and
// counts them, without decoding it. When flowbridge is the app's only callback URL nearly all posts are of that kind,
// and an account in coexistence sends its history in posts of megabytes.
//
// It never says so of a post that holds anything else: whatever it does not understand (an escape in a key, an
// entry without changes) it leaves to Decode. A fault of JSON inside what it skips goes unnoticed: there is
// nothing in it that we would keep.
func onlyIgnored(body []byte, wants Wants) (ignored Ignored, ok bool) {
	s := skimmer{walker: walker{b: body}, wants: wants}
	ok = s.object(func(key []byte) bool {
		switch string(key) {
		case `"entry"`:
			return s.array(s.entry)
		case `"object"`:
			value, ok := s.value()
			return ok && string(value) == `"`+ourObject+`"`
		}
		return s.skipUnder(key)
	})
	s.space()
	return s.ignored, ok && len(s.ignored) > 0 && s.i == len(s.b)
}

type skimmer struct {
	walker
	wants   Wants
	ignored Ignored
}

// entry passes over an entry; false if one of its changes is of another kind, or there is none.
func (s *skimmer) entry() bool {
	changes := 0
	ok := s.object(func(key []byte) bool {
		switch string(key) {
		case `"changes"`:
			return s.array(func() bool { changes++; return s.change() })
		case `"changed_fields"`:
			return false
		}
		return s.skipUnder(key)
	})
	return ok && changes > 0
}

func (s *skimmer) change() (is bool) {
	what := ""
	ok := s.object(func(key []byte) bool {
		if string(key) != `"field"` {
			return s.skipUnder(key)
		}
		start := s.i
		if what != "" || !s.skipString() || s.i-start < 2 {
			return false
		}
		what = s.unwanted(s.b[start+1 : s.i-1])
		return what != ""
	})
	if !ok || what == "" {
		return false
	}
	s.ignored.add(what, 1)
	return true
}

// unwanted returns the key of Ignored for a field as it is written; "" if it may be wanted.
func (s *skimmer) unwanted(field []byte) string {
	switch {
	case string(field) == fieldMessages:
		// Meta escapes no letter, so that a form is found without decoding.
		if s.wants.field(fieldMessages) && bytes.Contains(s.b, []byte("nfm_reply")) {
			return ""
		}
		return fieldMessages
	case bytes.IndexByte(field, '\\') >= 0 || len(field) > maxWord:
		return ""
	}
	name := string(field)
	chat := router.ChatField(name)
	if chat == "" || s.wants.field(name) {
		return ""
	}
	return chat
}

// skipUnder passes over the value of a key that is none of ours, if that is certain.
func (s *skimmer) skipUnder(key []byte) bool {
	return bytes.IndexByte(key, '\\') < 0 && s.skip()
}
