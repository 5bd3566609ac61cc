package router

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Forgotten stands where something said who a person is that was forgotten.
const Forgotten = "(forgotten)"

// Person is somebody who is to be forgotten.
type Person struct {
	phone string // digits only
	user  string
}

// Bounds of what names a person: what is shorter would be found in what is about others.
const (
	minPhone, maxPhone = 7, 20 // digits
	minUser, maxUser   = 4, 200
)

// NewPerson returns a person by a telephone number, with its country code and however it is written, or by an id of
// WhatsApp or of a service. One of both may be "".
func NewPerson(phone, user string) (p Person, err error) {
	p = Person{phone: digits(phone), user: strings.TrimSpace(user)}
	switch {
	case strings.TrimSpace(phone) == "" && p.user == "":
		return p, errors.New("name a person by a telephone number or a user id")
	case strings.TrimSpace(phone) != "" && (len(p.phone) < minPhone || len(p.phone) > maxPhone):
		return p, fmt.Errorf("a telephone number has %d to %d digits: give it whole, with its country code",
			minPhone, maxPhone)
	case p.user != "" && (len(p.user) < minUser || len(p.user) > maxUser):
		return p, fmt.Errorf("a user id has %d to %d characters", minUser, maxUser)
	}
	p.phone = strings.TrimPrefix(p.phone, "00") // which stands for +
	return p, nil
}

// IDs returns what Event.People may have of the person.
func (p Person) IDs() (ids []string) {
	for _, id := range []string{p.phone, p.user} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// PlainPhone returns the digits of a telephone number, and anything else as it is.
func PlainPhone(id string) string {
	if strings.ContainsFunc(id, func(r rune) bool { return !isDigit(r) && !inPhone(r) }) {
		return id
	}
	return strings.TrimPrefix(digits(id), "00")
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// inPhone says whether a character may stand between the digits of a telephone number.
func inPhone(r rune) bool {
	return unicode.IsSpace(r) || strings.ContainsRune("+-./()\u2010\u2011\u2013", r)
}

func digits(s string) string {
	return strings.Map(func(r rune) rune {
		if isDigit(r) {
			return r
		}
		return -1
	}, s)
}

// In says whether a text names the person.
func (p Person) In(text string) bool {
	return p.phone != "" && (hasPhone(text, p.phone) || hasMessageOf(text, p.phone)) ||
		p.user != "" && hasWord(text, p.user)
}

// hasPhone finds a number by its digits alone; before and behind it stands no other digit, but for the 00 of an
// international call.
func hasPhone(text, phone string) bool {
	before := ' '
	for i, r := range text {
		if isDigit(r) && !isDigit(before) &&
			(isPhone(text[i:], phone) || strings.HasPrefix(text[i:], "00") && isPhone(text[i+2:], phone)) {
			return true
		}
		before = r
	}
	return false
}

func isPhone(text, phone string) bool {
	left := phone
	for _, r := range text {
		switch {
		case left == "":
			return !isDigit(r)
		case r == rune(left[0]):
			left = left[1:]
		case !inPhone(r):
			return false
		}
	}
	return left == ""
}

// hasMessageOf finds the id of a message from or to a number: WhatsApp writes the number into it, in Base64.
func hasMessageOf(text, phone string) bool {
	for {
		_, rest, ok := strings.Cut(text, "wamid.")
		if !ok {
			return false
		}
		end := strings.IndexFunc(rest, func(r rune) bool {
			return !isDigit(r) && !unicode.IsLetter(r) && r != '+' && r != '/'
		})
		id := rest
		if end >= 0 {
			id = rest[:end]
		}
		if raw, err := base64.RawStdEncoding.DecodeString(id[:len(id)/4*4]); err == nil &&
			bytes.Contains(raw, []byte(phone)) {
			return true
		}
		text = rest
	}
}

// hasWord finds an id that is no part of a longer one.
func hasWord(text, word string) bool {
	part := func(r rune, size int) bool {
		return size > 0 && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_')
	}
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		if !part(utf8.DecodeLastRuneInString(text[:i])) && !part(utf8.DecodeRuneInString(text[i+len(word):])) {
			return true
		}
		from = i + 1
	}
}

// maxNested bounds JSON that stands in a string of JSON: response_json is one.
const maxNested = 3

// InJSON says whether JSON names the person in a text, a number or a key, however it is escaped. What is no JSON is
// text.
func (p Person) InJSON(raw []byte) bool { return len(raw) > 0 && p.inJSON(raw, 0) }

func (p Person) inJSON(raw []byte, nested int) bool {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	for {
		token, err := dec.Token()
		switch {
		case errors.Is(err, io.EOF):
			return false
		case err != nil:
			return p.In(string(raw))
		}
		switch v := token.(type) {
		case json.Number:
			if p.In(v.String()) {
				return true
			}
		case string:
			if p.In(v) || nested < maxNested && len(v) > 1 && (v[0] == '{' || v[0] == '[') &&
				p.inJSON([]byte(v), nested+1) {
				return true
			}
		}
	}
}

// forget puts Forgotten in the place of texts that name the person.
func (p Person) forget(texts ...*string) (found bool) {
	for _, text := range texts {
		if p.In(*text) {
			*text, found = Forgotten, true
		}
	}
	return found
}

// ForgetEvent takes out of an event what it holds of the person: of Meta's all that it said, of what somebody did the
// name. whole says that the event is known to be of the person.
func (p Person) ForgetEvent(e *Event, whole bool) (found bool) {
	if whole && e.Reduced != ReducedForgotten || p.InJSON(e.Value) || p.InJSON(e.Raw) ||
		p.In(e.Message) || p.In(e.Warning) {
		*e, found = e.Reduce(ReducedForgotten), true
	}
	if e.Act != nil {
		act := *e.Act
		if p.forgetAct(&act) {
			e.Act, found = &act, true
		}
	}
	return found
}

func (p Person) forgetAct(a *Act) (found bool) {
	found = p.forget(&a.Actor, &a.Owner, &a.Text, &a.Error)
	if a.Silence != nil {
		silence := *a.Silence
		if p.ForgetSilence(&silence) {
			a.Silence, found = &silence, true
		}
	}
	return found
}

// ForgetSilence takes the person out of a silence.
func (p Person) ForgetSilence(s *Silence) bool { return p.forget(&s.By, &s.Why) }

// ForgetNotice takes out of a notice what it shows of the person; whole says that it is known to be of them.
func (p Person) ForgetNotice(n *Notice, whole bool) (found bool) {
	shows := n.Title != "" || n.Text != "" || n.Message != "" || n.Warning != "" || len(n.Fields) > 0
	if whole && shows || p.In(n.Title) || p.In(n.Text) || p.In(n.Message) || p.In(n.Warning) || p.inFields(n.Fields) {
		n.Title, n.Text, n.Message, n.Warning, n.Fields, found = "", "", "", "", nil, true
	}
	if n.Act != nil {
		act := *n.Act
		if p.forgetAct(&act) {
			n.Act, found = &act, true
		}
	}
	return found
}

func (p Person) inFields(fields []Field) bool {
	return slices.ContainsFunc(fields, func(f Field) bool { return p.In(f.Value) })
}

// ForgetIncident takes the person out of an incident.
func (p Person) ForgetIncident(i *Incident) (found bool) {
	found = p.forget(&i.AcknowledgedBy, &i.ResolvedBy, &i.Owner, &i.ByItself, &i.Silence.By, &i.Silence.Why)
	if p.In(i.Title) || p.In(i.Text) || p.inFields(i.Fields) {
		i.Title, i.Text, i.Fields, found = "", "", nil, true
	}
	return found
}

// Found is what was held of a person who is forgotten now.
type Found struct {
	ForgottenCount
	// Told are messages about the person that services have, those of the newest first, MaxTold at most.
	Told []Told
}

// MaxTold bounds Found.Told.
const MaxTold = 500

// ForgottenCount says what was held of a person, by where it was.
type ForgottenCount struct {
	Events     int64 `json:"events"`
	Notices    int64 `json:"notices"`
	Incidents  int64 `json:"incidents"`
	Timeline   int64 `json:"timeline"`
	Deliveries int64 `json:"deliveries"`
	Silences   int64 `json:"silences"`
	Postponed  int64 `json:"postponed"`
	Audit      int64 `json:"audit"`
	Attempts   int64 `json:"attempts"`
}

// Any says whether anything was held.
func (c ForgottenCount) Any() bool { return c != ForgottenCount{} }

// Told is a message that was sent already, where nobody but a person can remove it.
type Told struct {
	Notifier string
	Kind     Kind
	Incident int64  // number; 0 for a notice
	Event    int64  // of a notice: its journal position
	Link     string // URL, "" where it is not known
}
