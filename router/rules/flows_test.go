package rules

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFlowsAreFoundByIDAndByName(t *testing.T) {
	r, err := Load("rules.yaml", []byte(`version: 1
flows:
  "1": {name: Checkout}
  "2": {name: Survey}
  "3": {name: survey}
  "4": {name: "1"}
notifiers:
  ops: {kind: slack, channel: "#ops"}
rules:
  - {name: all, match: {field: flows}, notify: [ops]}
`), Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]string{"checkout": {"1"}, "Survey": {"2", "3"}, "1": {"1"}, "Chekout": nil, "": nil} {
		if diff := cmp.Diff(want, r.FlowIDs(name)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", name, diff)
		}
	}
}
