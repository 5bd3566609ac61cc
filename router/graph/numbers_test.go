package graph

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func numberName(c *Client, account, digits string) string {
	got, _ := c.Number(account, digits)
	return got
}

// TestANumberIsNamedByItsDigits reads the list of an account, once for all its numbers, and on where it has more pages.
func TestANumberIsNamedByItsDigits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meta{}
		m.does(func(w http.ResponseWriter, r *http.Request) {
			switch after := r.URL.Query().Get("after"); after {
			case "":
				fmt.Fprint(w, `{"data":[{"id":"1","display_phone_number":"+1 555-078-3881","verified_name":"Acme"},{"id":"2"},7],
					"paging":{"cursors":{"before":"a","after":"b"},"next":"https://evil.example/"}}`)
			case "b":
				fmt.Fprint(w, `{"data":[{"id":"3","display_phone_number":"+44 20 7946 0000"}],
					"paging":{"cursors":{"before":"b","after":"c"}}}`)
			default:
				t.Errorf("asked for the page %q", after)
			}
		})
		client := m.client(t, Config{})
		for _, digits := range []string{"15550783881", "442079460000", "15550000000", "", "me"} {
			if got := numberName(client, "501", digits); got != "" {
				t.Errorf("%q is called %q before Graph has answered", digits, got)
			}
		}
		for _, account := range []string{"", "0", "1/.."} {
			numberName(client, account, "15550783881")
		}
		time.Sleep(5 * time.Second)
		for digits, want := range map[string]string{"15550783881": "+1 555-078-3881 (Acme)",
			"+44 20 7946-0000": "+44 20 7946 0000", "15550000000": ""} {
			if got := numberName(client, "501", digits); got != want {
				t.Errorf("%s: got %q, want %q", digits, got, want)
			}
		}
		if got := numberName(client, "502", "15550783881"); got != "" {
			t.Errorf("the number of another account is called %q", got)
		}
		calls := m.calls()
		want := []string{"/v23.0/501/phone_numbers?fields=display_phone_number%2Cverified_name&limit=50",
			"/v23.0/501/phone_numbers?after=b&fields=display_phone_number%2Cverified_name&limit=50"}
		if !slices.Equal(calls[:min(2, len(calls))], want) || len(calls) > 3 {
			t.Errorf("asked %q, want %q", calls, want)
		}
	})
}

// TestAListOfNumbersIsReadAnewForANewNumber holds what is asked for again, and when.
func TestAListOfNumbersIsReadAnewForANewNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meta{}
		m.says(200, `{"data":[{"display_phone_number":"+1 555-078-3881","verified_name":"Acme"}]}`)
		client := m.client(t, Config{})
		expect := func(after time.Duration, digits, want string, calls int) {
			t.Helper()
			time.Sleep(after)
			got := numberName(client, "501", digits)
			time.Sleep(2 * time.Second)
			if n := len(m.calls()); got != want || n != calls {
				t.Fatalf("%q after %d calls, want %q after %d", got, n, want, calls)
			}
		}
		const old, fresh = "15550783881", "15550780000"
		expect(0, old, "", 1)
		expect(0, old, "+1 555-078-3881 (Acme)", 1)
		expect(time.Minute, fresh, "", 1)
		m.says(200, `{"data":[{"display_phone_number":"+1 555-078-3881"},{"display_phone_number":"+1 555-078-0000"}]}`)
		expect(2*time.Hour, old, "+1 555-078-3881 (Acme)", 1) // kept for a day
		expect(0, fresh, "", 2)
		expect(0, fresh, "+1 555-078-0000", 2)
		for status, body := range map[int]string{403: `{"error":{"code":200}}`, 200: `{"data":"no"}`, 503: ``} {
			m.says(status, body)
			before := len(m.calls())
			expect(25*time.Hour, fresh, "+1 555-078-0000", before+1) // better than nothing
			expect(time.Minute, fresh, "+1 555-078-0000", before+1)
		}
	})
}

// TestAListWithoutAnEndIsLeft holds that neither pages nor numbers of a page are read for ever, and that names of other
// things are asked for in between.
func TestAListWithoutAnEndIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &meta{}
		n := 0
		m.does(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/77") {
				fmt.Fprint(w, `{"name":"Checkout"}`)
				return
			}
			n++
			one := `{"display_phone_number":"+1 555-078-3881"},`
			fmt.Fprintf(w, `{"data":[%s],"paging":{"cursors":{"after":"%d"},"next":"x"}}`,
				strings.TrimSuffix(strings.Repeat(one, 500), ","), n)
		})
		client := m.client(t, Config{})
		numberName(client, "501", "15550783881")
		time.Sleep(3 * time.Second)
		name(client, Flow, "77")
		time.Sleep(3 * time.Second)
		if got := name(client, Flow, "77"); got != "Checkout" {
			t.Errorf("a flow waits behind the list: it is called %q", got)
		}
		time.Sleep(time.Minute)
		numberName(client, "501", "15550000000")
		time.Sleep(time.Minute)
		if n != mostPages {
			t.Errorf("%d pages were read, want %d", n, mostPages)
		}
	})
}
