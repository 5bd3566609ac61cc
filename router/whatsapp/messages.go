package whatsapp

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"strings"

	"flowbridge/router"
)

// messages takes the filled forms out of a change of the field messages, if rules want them. Everything else there
// is the business of another receiver.
func (d *decoder) messages(value json.RawMessage) {
	taken := false
	if d.wantResponses {
		var v struct{ Messages json.RawMessage }
		if json.Unmarshal(value, &v) == nil {
			for _, raw := range list(v.Messages) {
				taken = d.response(raw) || taken
			}
		}
	}
	if !taken {
		d.letGo++
	}
}

// response reads a message; taken is false if it is not the answer to a flow.
func (d *decoder) response(raw json.RawMessage) (taken bool) {
	var m struct {
		ID, From, Timestamp json.RawMessage
		FromUserID          json.RawMessage `json:"from_user_id"`
		Interactive         struct {
			Type  json.RawMessage
			Reply struct {
				Name, Body json.RawMessage
				Response   json.RawMessage `json:"response_json"`
			} `json:"nfm_reply"`
		}
	}
	if json.Unmarshal(raw, &m) != nil || text(m.Interactive.Type) != "nfm_reply" {
		return false
	}
	reply := m.Interactive.Reply
	if name := text(reply.Name); name != "flow" && name != "" { // address_message is another kind of form
		return false
	}
	response, token := answers(reply.Response)
	id := text(m.ID)
	value, err := json.Marshal(map[string]any{
		"message_id": id,
		"name":       text(reply.Name),
		"body":       text(reply.Body),
		"from":       cmp.Or(text(m.From), text(m.FromUserID)), // either may be missing since 2026
		"flow_token": token,
		"response":   response,
	})
	if err != nil {
		d.unreadable(raw, "the answer of a form: "+err.Error())
		return true
	}
	sum := sha256.Sum256([]byte("message " + id)) // the id is the message's own identity
	if id == "" {
		sum = sha256.Sum256(canonical(raw))
	}
	outer := d.time
	d.time = text(m.Timestamp)
	d.add(router.Event{Name: router.FlowResponse, Value: value, Digest: digestOf(d.time, sum[:])})
	d.time = outer
	return true
}

// answers reads response_json, a string that holds JSON. What is no JSON is kept as text.
func answers(raw json.RawMessage) (response any, token string) {
	s := text(raw)
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber() // a telephone number must not become 1.5e+10
	if dec.Decode(&response) != nil {
		return s, ""
	}
	if fields, ok := response.(map[string]any); ok {
		token, _ = fields["flow_token"].(string)
	}
	return response, token
}
