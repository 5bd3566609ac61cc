package router

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
)

// Own is the half of a receipt that only the kind reads: what the service calls what we made there, and what else the kind
// wants to know the next time. It is a JSON object with its members in order, or "" for none, so that receipts can be
// compared. Stored, its members stand beside those of the common half.
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

// common is a receipt without the methods that would call themselves.
type common Receipt

// commonMembers are the names of what is not a kind's own.
var commonMembers = func() map[string]bool {
	names := map[string]bool{}
	for i := range reflect.TypeFor[common]().NumField() {
		name, _, _ := strings.Cut(reflect.TypeFor[common]().Field(i).Tag.Get("json"), ",")
		names[name] = true
	}
	return names
}()

// MarshalJSON puts both halves into one object.
func (r Receipt) MarshalJSON() ([]byte, error) {
	data, err := json.Marshal(common(r))
	if err != nil || r.Own == "" {
		return data, err
	}
	var all, own map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	if err := r.Own.Get(&own); err != nil {
		return nil, err
	}
	maps.Copy(own, all)
	return json.Marshal(own)
}

// UnmarshalJSON takes what it does not know for the kind's own.
func (r *Receipt) UnmarshalJSON(data []byte) error {
	*r = Receipt{}
	if string(data) == "{}" {
		return nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, (*common)(r)); err != nil {
		return err
	}
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { return commonMembers[name] })
	var err error
	r.Own, err = putMembers(all)
	return err
}
