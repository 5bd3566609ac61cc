package yamldoc

import (
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestMistakesNameThePlaceInTheirFile reads two files as a caller would, whose keys and values mean nothing here.
func TestMistakesNameThePlaceInTheirFile(t *testing.T) {
	report := NewReport(Format{
		Holds: "shopping", Begin: "write what to buy", References: "variables are for prices",
		Secret: func(text string) bool { return strings.HasPrefix(text, "secret-") },
	})
	first, root := report.Open("first.yaml",
		[]byte("fruit: [apple, pear]\nbread: yes\nmilk: ${LITRES}\ntea:\ncode: secret-1\n"))
	entries, _ := first.Mapping(root, "")
	for _, e := range entries {
		switch e.Key {
		case "fruit":
			all, _ := first.Scalars(e.Value, e.Path)
			first.Wrong(all[1].Node, all[1].Path, "there is no "+all[1].Written(), DidYouMean(all[1].Text, []string{"pears"}))
		case "bread":
			first.Boolean(e.Value, e.Path)
		case "code":
			s, _ := first.Scalar(e.Value, e.Path)
			first.Wrong(s.Node, s.Path, "nobody knows "+s.Written(), "")
		default:
			first.Scalar(e.Value, e.Path)
		}
	}
	second, root := report.Open("second.yaml", []byte("salt: 1\n pepper: 2\n"))
	if root == nil || root.Kind != yaml.MappingNode || !report.Partial() {
		t.Errorf("what stands before a syntax error is not read: %v", root)
	}
	second.NoSuch(root, "", "nothing is called so", "") // it may stand behind the syntax error
	if _, root := report.Open("third.yaml", nil); root != nil {
		t.Error("an empty file has a root")
	}
	const want = `first.yaml:1:16: fruit[1]: there is no "pear" (did you mean "pears"?)
first.yaml:2:8: bread: must be true or false, not "yes" (write true)
first.yaml:3:7: milk: ${LITRES} stands for nothing here (variables are for prices; for the text itself write $${)
first.yaml:4:1: tea: has no value
first.yaml:5:7: code: nobody knows the value
second.yaml:2:2: a ":" stands where no key can be (check the indentation, and quote a text that contains ": ")
third.yaml:1:1: the file is empty (write what to buy)`
	if got := report.Finish().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
