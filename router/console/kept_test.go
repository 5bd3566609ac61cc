package console

import (
	"context"

	"flowbridge/router"
)

func (s *memStore) Delivery(_ context.Context, id int64) (router.Delivery, error) {
	for _, d := range s.deliveries {
		if d.ID == id {
			return d, s.fault
		}
	}
	return router.Delivery{}, router.ErrNotFound
}

func (s *memStore) Attempts(_ context.Context, delivery int64) (found []router.Attempt, err error) {
	for _, a := range s.attempts {
		if a.Delivery == delivery {
			found = append(found, a)
		}
	}
	return found, s.fault
}
