package graph

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"

	"flowbridge/router"
)

// What Meta says of a phone number names it by its digits, and Graph names it by an id: the account's list has both.
const (
	numbers Kind = "phone numbers" // of an account, by its id: that the list was read
	number  Kind = "number"        // of an account, by numberID

	// inPage and mostPages bound what is read of a list: a page stays far below maxBody, and a thousand numbers are read.
	inPage, mostPages = 50, 20
)

func numberID(account, digits string) string { return account + "/" + digits }

// Number returns how a phone number of an account is called at Meta, by the digits that Meta names it by: "+1 555-0100
// (Acme)". Like Name it never waits, and ok is false where that is not known yet.
func (c *Client) Number(account, digits string) (name string, ok bool) {
	if digits = router.PlainPhone(digits); !ids.MatchString(account) || !ids.MatchString(digits) {
		return "", false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	name, fresh := c.known(key{number, numberID(account, digits)})
	list := key{numbers, account}
	if _, read := c.known(list); !fresh && !read {
		c.want(list)
	}
	return name, name != ""
}

// page is where a list is read on.
type page struct {
	after string // cursor; "" for the first
	n     int    // pages that were read
}

// takeNumbers reads a page of an account's numbers, keeps their names, and has the next page read.
func (c *Client) takeNumbers(ctx context.Context, k key, token router.Secret) *fault {
	at := c.pages[k.id]
	delete(c.pages, k.id)
	query := url.Values{"fields": {fields[Phone]}, "limit": {strconv.Itoa(inPage)}}
	if at.after != "" {
		query.Set("after", at.after)
	}
	status, body, f := c.fetch(ctx, k.id+"/phone_numbers", query, token)
	if f == nil {
		f = judge(status, body, token)
	}
	if f != nil {
		return f
	}
	var said struct {
		Data   []json.RawMessage `json:"data"`
		Paging struct {
			Cursors struct {
				After string `json:"after"`
			} `json:"cursors"`
			Next string `json:"next"` // is there where there is another page; it holds the token
		} `json:"paging"`
	}
	if json.Unmarshal(body, &said) != nil || said.Data == nil {
		return &fault{outcome: odd, status: status, text: "its answer is no list of phone numbers"}
	}
	for _, one := range said.Data[:min(len(said.Data), inPage)] {
		var it struct {
			Number string `json:"display_phone_number"`
		}
		digits := ""
		if json.Unmarshal(one, &it) == nil {
			digits = router.PlainPhone(it.Number)
		}
		name, bad := read(Phone, status, one, token)
		if bad == nil && ids.MatchString(digits) {
			c.keep(key{number, numberID(k.id, digits)}, name, c.cfg.Keep)
		}
	}
	c.keep(k, "", c.cfg.KeepError) // a number that is not in it may be new
	after := said.Paging.Cursors.After
	if at.n++; said.Paging.Next != "" && after != "" && after != at.after && at.n < mostPages {
		c.pages[k.id] = page{after, at.n}
		c.again(k)
	}
	return nil
}

// again has a key asked for once more, behind those that wait.
func (c *Client) again(k key) {
	select {
	case c.queue <- k:
	default: // the rest is read when a number of it is needed
		delete(c.pages, k.id)
	}
}
