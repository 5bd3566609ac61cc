package router_test

import (
	"encoding/json"
	"testing"

	"flowbridge/router"
)

func TestAReceiptKeepsBothHalves(t *testing.T) {
	own, err := router.PutOwn(struct {
		Said string `json:"said,omitempty"`
		None string `json:"none,omitempty"`
		Big  int64  `json:"big"`
	}{Said: "a", Big: 9007199254740993})
	if err != nil || own != `{"big":9007199254740993,"said":"a"}` {
		t.Fatalf("own half %s, %v", own, err)
	}
	for _, r := range []router.Receipt{{}, {Own: own}, {Link: "https://example.com", Told: 3, Open: true}, {Link: "https://example.com", Severity: router.Error, Own: own}} {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		back := router.Receipt{Told: 99, Own: "{}"} // what was there before is gone
		if err := json.Unmarshal(text, &back); err != nil || back != r {
			t.Errorf("%s is read as %+v, %v", text, back, err)
		}
	}
	if text, _ := json.Marshal(router.Receipt{}); string(text) != "{}" {
		t.Errorf("nothing is written as %s", text)
	}
	if none, err := router.PutOwn(struct{}{}); none != "" || err != nil {
		t.Errorf("nothing of its own is %q, %v", none, err)
	}
}
