package store_test

import (
	"context"
	"fmt"
	"testing"

	"flowbridge/router"
	"flowbridge/router/store"
)

func TestReceiptsOfAnAddressComeNewestFirst(t *testing.T) {
	t.Parallel()
	overBoth(t, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		want := func(name string, receipts ...router.Receipt) {
			t.Helper()
			got, err := s.Receipts(ctx, router.KindSlack, name)
			check(t, err)
			diff(t, got, receipts)
		}
		first, second, third := router.Receipt{Own: made("channel", "C1")}, router.Receipt{Own: made("channel", "C2"),
			Open: true}, router.Receipt{Own: made("channel", "#ops"), Unsure: true}
		want("#ops")
		for number := int64(2); number <= 4; number++ {
			inc, owed := failing(number), owedChat()
			inc.Key = fmt.Sprint(rateKey, number)
			owed.Incident, owed.Key = number, inc.Key
			check(t, s.Commit(ctx, router.Batch{Incidents: []router.Incident{inc}, Owed: []router.Owed{owed}}))
		}
		for _, receipt := range []router.Receipt{first, second, third, {}} {
			if _, ok := attempt(t, s, "chat", receipt); !ok {
				t.Fatal("nothing is due")
			}
		}
		want("#ops", third, second, first)
		want("#other")
	})
}
