package router

import (
	"encoding/base64"
	"strings"
	"testing"
)

func person(t *testing.T, phone, user string) Person {
	t.Helper()
	p, err := NewPerson(phone, user)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPhoneIsFoundByItsDigitsHoweverItIsWritten(t *testing.T) {
	wamid := "wamid." + base64.StdEncoding.EncodeToString([]byte("\x1c\x18\x0b15550100200\x15\x02\x00"))
	for text, want := range map[string]bool{
		"15550100200": true, "+15550100200": true, "0015550100200": true, "+1 (555) 010-0200": true, "1.555.010.0200": true,
		"1-555/010\u00a00200": true,
		"call 15550100200.":   true, "a15550100200b": true, "1555010020": false, "155501002001": false, "215550100200": false,
		"1 555 010 0200 1": true,
		"5550100200":       false, "": false, "15550100200 or 15550100201": true, "15550100201, 15550100200": true,
		wamid: true, "id " + wamid + "=": true,
		"wamid.": false, "wamid.HBgLMTU1NTAxMDAyMDEVAgA": false, "1x5550100200": false, "2026-03-02 15550100200": true,
	} {
		for _, spelt := range []string{"15550100200", " +1 555 010-0200 ", "001 (555) 010 0200"} {
			if got := person(t, spelt, "").In(text); got != want {
				t.Errorf("%q in %q: %v", spelt, text, got)
			}
		}
	}
}

func TestAUserIsFoundByTheWholeId(t *testing.T) {
	p := person(t, "", "US.1349")
	for text, want := range map[string]bool{
		"US.1349": true, "from US.1349, twice": true, "US.13490": false, "XUS.1349": false, "us.1349": false,
		"US.13490 US.1349": true, "(US.1349)": true,
	} {
		if got := p.In(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestAPersonIsFoundInJSONHoweverItIsEscaped(t *testing.T) {
	p := person(t, "15550100200", "")
	for raw, want := range map[string]bool{
		`{"from":"15550100200"}`: true, `{"n":15550100200}`: true, `{"15550100200":1}`: true,
		`{"a":"\u0031555\u00200100200"}`: true,
		`{"a":"+1 555\/010-0200"}`:       true, `{"response":"{\"a\":\"\\u0031 5550100200\"}"}`: true,
		`{"a":[{"b":"x"}]}`: false, `{"from":"15550100200`: true,
		`not JSON: +1 555 0100200`: true, ``: false, `{"a":155501002001}`: false,
	} {
		if got := p.InJSON([]byte(raw)); got != want {
			t.Errorf("%s: %v", raw, got)
		}
	}
}

func TestWhoIsToBeForgottenMustBeNamedWhole(t *testing.T) {
	for _, c := range []struct{ phone, user, want string }{
		{"", " ", "name a person"}, {"12345", "", "7 to 20 digits"}, {"no number", "", "7 to 20 digits"},
		{strings.Repeat("1", 21), "", "7 to 20 digits"}, {"", "abc", "4 to 200"},
	} {
		if _, err := NewPerson(c.phone, c.user); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q, %q: %v", c.phone, c.user, err)
		}
	}
}
