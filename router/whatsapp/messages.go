package whatsapp

import (
	"cmp"
	"encoding/json"
	"io"
	"strings"

	"flowbridge/router"
)

// messages takes the filled forms out of a change of the field messages, if rules want them. Everything else there
// is the business of another receiver.
func (d *decoder) messages(value []byte) {
	before := len(d.events)
	if d.wants.field(fieldMessages) {
		members(value, func(key, v []byte) {
			if string(key) != "messages" {
				return
			}
			for message := range elements(v) {
				d.response(message)
			}
		})
	}
	if len(d.events) == before {
		d.ignored.add(fieldMessages, 1)
	}
}

// response takes a message if it is the answer to a flow.
func (d *decoder) response(raw []byte) {
	var id, from, userID, at, kind string
	var reply []byte
	members(raw, func(key, v []byte) {
		switch string(key) {
		case "id":
			id = word(v)
		case "from":
			from = word(v)
		case "from_user_id":
			userID = word(v)
		case "timestamp":
			at = word(v)
		case "interactive":
			members(v, func(key, v []byte) {
				switch string(key) {
				case "type":
					kind = word(v)
				case "nfm_reply":
					reply = v
				}
			})
		}
	})
	if kind != "nfm_reply" {
		return
	}
	var name, body, answered string
	members(reply, func(key, v []byte) {
		switch string(key) {
		case "name":
			name = word(v)
		case "body":
			body = text(v)
		case "response_json":
			answered = text(v)
		}
	})
	if name == "address_message" { // another kind of form, which belongs to no flow
		return
	}
	response, token := answers(answered)
	facts := map[string]any{
		"message_id": id,
		"name":       name,
		"body":       body,
		"from":       cmp.Or(from, userID), // either may be missing since 2026
		"flow_token": token,
		"response":   response,
	}
	if userID != "" {
		facts["user_id"] = userID
	}
	value, _ := json.Marshal(facts)     // strings, and what was read as JSON: this cannot fail
	identity := []byte("message " + id) // the id is the message's own
	if id == "" {
		identity = canonical(nil, raw, 0)
	}
	d.add(router.Event{Name: router.FlowResponse, Digest: digestOf(at, identity)}, at, value)
}

// maxBrackets bounds how deep answers may be nested; the journal's encoder gives up at 10,000. No form comes near.
const maxBrackets = 5000

// answers reads response_json, a string that holds JSON. What is no JSON is kept as text.
func answers(s string) (response any, token string) {
	if strings.Count(s, "[")+strings.Count(s, "{") > maxBrackets {
		return s, ""
	}
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber() // a telephone number must not become 1.5e+10
	if dec.Decode(&response) != nil || dec.Decode(new(any)) != io.EOF {
		return s, ""
	}
	if fields, ok := response.(map[string]any); ok {
		token, _ = fields["flow_token"].(string)
	}
	return response, token
}
