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
	for _, r := range []router.Receipt{{}, {Own: own}, {Link: "https://example.com", Told: 3, Open: true},
		{Link: "https://example.com", Severity: router.Error, Own: own}} {
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

func TestAReceiptOfAnOlderVersionIsRead(t *testing.T) {
	for text, want := range map[string]router.Receipt{
		`{"dedup_key":"k","told":1,"open":true,"opening":2,"severity":"error"}`: {Told: 1, Open: true, Opening: 2,
			Severity: router.Error, Own: `{"dedup_key":"k"}`},
		`{"channel":"C1","ts":"1.0","frozen":true,"shown":"critical","old":"0.9","mute":true,"looks":2}`: {Looks: 2,
			Own: `{"channel":"C1","frozen":true,"mute":true,"old":"0.9","shown":"critical","ts":"1.0"}`},
		`{"channel":"C1","digest":"17.1","open":true}`: {Digest: "17.1", Open: true, Own: `{"channel":"C1"}`},
		`{"unsure":true}`: {Unsure: true},
	} {
		var got router.Receipt
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
}
