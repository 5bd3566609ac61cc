package graph

import (
	"slices"
	"testing"

	"flowbridge/router"
)

// book is what is known, and what was asked.
type book struct {
	known map[string]string
	asked []string
}

func (b *book) Name(kind Kind, id string) (string, bool) {
	b.asked = append(b.asked, string(kind)+" "+id)
	name, ok := b.known[id]
	return name, ok
}

func (b *book) Number(account, digits string) (string, bool) {
	return b.Name("number", account+"/"+digits)
}

// says are rules that decide one thing.
type says struct {
	router.Rules
	d router.Decision
}

func (s says) Decide(*router.Event) router.Decision { return s.d }
func (s says) Plain() router.Rules                  { return s }

func TestGraphNamesWhatTheRulesDoNot(t *testing.T) {
	flow := router.Event{Source: router.SourceMeta, Flow: "77", WABA: "501"}
	number := router.Event{Source: router.SourceMeta, WABA: "501",
		Subject: router.Subject{Kind: router.SubjectEntity, ID: "PHONE_NUMBER:9"}}
	digits := router.Event{Source: router.SourceMeta, WABA: "501",
		Subject: router.Subject{Kind: router.SubjectPhone, ID: "15550783881", Name: "+15550783881"}}
	own := router.Event{WABA: "501", Flow: "77"}
	named := router.FlowInfo{FlowName: "Checkout", AccountName: "Acme EU"}
	for _, c := range []struct {
		what  string
		e     router.Event
		d     router.Decision
		want  router.FlowInfo
		asked []string
	}{
		{"nothing is named", flow, router.Decision{}, router.FlowInfo{FlowName: "meta's 77", AccountName: "meta's 501"},
			[]string{"flow 77", "account 501"}},
		{"all is named", flow, router.Decision{FlowInfo: named}, named, nil},
		{"the account is named", flow, router.Decision{FlowInfo: router.FlowInfo{AccountName: "Acme EU"}},
			router.FlowInfo{FlowName: "meta's 77", AccountName: "Acme EU"}, []string{"flow 77"}},
		{"a number", number, router.Decision{}, router.FlowInfo{AccountName: "meta's 501", NumberName: "meta's 9"},
			[]string{"account 501", "phone 9"}},
		{"a number by its digits", digits, router.Decision{},
			router.FlowInfo{AccountName: "meta's 501", NumberName: "meta's 15550783881"},
			[]string{"account 501", "number 501/15550783881"}},
		{"it is dropped", flow, router.Decision{Drop: true}, router.FlowInfo{}, nil},
		{"it is not Meta's", own, router.Decision{}, router.FlowInfo{}, nil},
	} {
		b := &book{known: map[string]string{"77": "meta's 77", "501": "meta's 501", "9": "meta's 9",
			"501/15550783881": "meta's 15550783881"}}
		for _, rules := range []router.Rules{Rules(says{d: c.d}, b), Rules(says{d: c.d}, b).Plain()} {
			b.asked = nil
			got := rules.Decide(&c.e).FlowInfo
			if got.FlowName != c.want.FlowName || got.AccountName != c.want.AccountName || got.NumberName != c.want.NumberName {
				t.Errorf("%s: got %+v, want %+v", c.what, got, c.want)
			}
			if !slices.Equal(b.asked, c.asked) {
				t.Errorf("%s: asked %q, want %q", c.what, b.asked, c.asked)
			}
		}
	}
}
