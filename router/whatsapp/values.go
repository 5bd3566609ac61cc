package whatsapp

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
)

// text reads a string; a number or a word comes as it is written, and so does anything else that stands where a
// string was meant. Missing and null are "".
func text(raw json.RawMessage) (s string) {
	if len(raw) == 0 || isNull(raw) {
		return ""
	}
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// number reads a number, or a string that holds one, also with a percent sign. nil is no number.
func number(raw json.RawMessage) *float64 {
	s := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(text(raw)), "%"))
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return nil
	}
	return &f
}

// list reads an array; a single value stands for an array of one. Missing and null are empty.
func list(raw json.RawMessage) (elements []json.RawMessage) {
	if len(raw) == 0 || isNull(raw) {
		return nil
	}
	if json.Unmarshal(raw, &elements) == nil {
		return elements
	}
	return []json.RawMessage{raw}
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(raw, []byte("null")) }
