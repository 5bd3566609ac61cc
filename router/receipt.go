package router

import (
	"encoding/json"
	"fmt"
	"maps"
)

// Own is the half of a receipt that only the kind reads: what the service calls what we made there, and what else the
// kind wants to know the next time. It is a JSON object with its members in order, or "" for none, so that receipts can
// be compared.
type Own string

// PutOwn makes one of a struct; what its fields leave out is not there.
func PutOwn(v any) (Own, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return "", err
	}
	return putMembers(members)
}

func putMembers(members map[string]json.RawMessage) (Own, error) {
	if len(members) == 0 {
		return "", nil
	}
	data, err := json.Marshal(members)
	return Own(data), err
}

// Get reads it into a struct.
func (o Own) Get(v any) error {
	if o == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(o), v); err != nil {
		return fmt.Errorf("the receipt's own half: %w", err)
	}
	return nil
}

// MarshalJSON returns it as it is.
func (o Own) MarshalJSON() ([]byte, error) {
	if o == "" {
		return []byte("{}"), nil
	}
	return []byte(o), nil
}

// UnmarshalJSON takes an object as it is: as PutOwn wrote it.
func (o *Own) UnmarshalJSON(data []byte) error {
	if *o = Own(data); *o == "{}" || *o == "null" {
		*o = ""
	}
	return nil
}

// UnmarshalJSON reads what any version wrote: before kinds had a half of their own, what is theirs stood beside the
// rest.
func (r *Receipt) UnmarshalJSON(data []byte) error {
	type common Receipt // without this method
	var read struct {
		common
		Channel  json.RawMessage `json:"channel"`
		TS       json.RawMessage `json:"ts"`
		DedupKey json.RawMessage `json:"dedup_key"`
		Frozen   json.RawMessage `json:"frozen"`
		Shown    json.RawMessage `json:"shown"`
		Old      json.RawMessage `json:"old"`
		Mute     json.RawMessage `json:"mute"`
	}
	if err := json.Unmarshal(data, &read); err != nil {
		return err
	}
	*r = Receipt(read.common)
	if r.Own != "" {
		return nil
	}
	members := map[string]json.RawMessage{
		"channel": read.Channel, "ts": read.TS, "dedup_key": read.DedupKey, "frozen": read.Frozen,
		"shown": read.Shown, "old": read.Old, "mute": read.Mute,
	}
	maps.DeleteFunc(members, func(_ string, value json.RawMessage) bool { return value == nil })
	var err error
	r.Own, err = putMembers(members)
	return err
}
