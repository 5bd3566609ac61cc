package store_test

import (
	"context"
	"fmt"
	"testing"

	"flowbridge/router"
	"flowbridge/router/store"
)

func TestTheIDOfAChannelIsWhatTheNewestReceiptSays(t *testing.T) {
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		want := func(name, id string) {
			t.Helper()
			if got, err := s.ChannelID(ctx, name); got != id || err != nil {
				t.Errorf("%s is %q, %v; want %q", name, got, err, id)
			}
		}
		want("#ops", "")
		for number := int64(2); number <= 4; number++ {
			inc, owed := failing(number), owedChat()
			inc.Key = fmt.Sprint(rateKey, number)
			owed.Incident, owed.Key = number, inc.Key
			check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{inc}, Owed: []router.Owed{owed}}))
		}
		for _, receipt := range []router.Receipt{{Channel: "C1", TS: "1.0"}, {Channel: "C2", TS: "2.0"}, {Channel: "#ops", Unsure: true}, {}} {
			if _, ok := attempt(t, s, "chat", receipt); !ok {
				t.Fatal("nothing is due")
			}
		}
		want("#ops", "C2")
		want("#other", "")
	})
}
