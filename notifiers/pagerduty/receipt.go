package pagerduty

import "flowbridge/router"

// own is the half of a receipt that only this package reads.
type own struct {
	DedupKey string `json:"dedup_key,omitempty"` // PagerDuty's name of the alert
}

// dedupKey returns PagerDuty's name of the alert, "" where nothing was made.
func dedupKey(r router.Receipt) string {
	var o own
	if r.Own.Get(&o) != nil {
		return ""
	}
	return o.DedupKey
}

// named returns a receipt of an alert with a name.
func named(r router.Receipt, key string) router.Receipt {
	r.Own, _ = router.PutOwn(own{DedupKey: key}) // a text can be written
	return r
}
