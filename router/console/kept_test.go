package console

import (
	"context"
	"time"

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

func (s *memStore) RulesVersions(context.Context, int) ([]router.RulesVersion, error) {
	return s.versions, s.fault
}

func (s *memStore) RulesVersion(_ context.Context, digest string) (router.RulesVersion, error) {
	for _, v := range s.versions {
		if v.Digest == digest {
			return v, s.fault
		}
	}
	return router.RulesVersion{}, router.ErrNotFound
}

func (s *memStore) RuleHits(context.Context, time.Time) ([]router.RuleHits, error) {
	return s.hits, s.fault
}

func (s *memStore) Seen(context.Context) ([]router.Sight, error) { return s.sights, s.fault }
