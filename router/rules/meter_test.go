package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/expr-lang/expr"

	"flowbridge/router"
)

// killers are expressions that are well formed, and took all memory or time there is before they had a budget.
var killers = map[string]string{
	"a repeat of a repeat":                         `len(repeat(repeat("a", 999999), 999999)) > 1`,
	"a reduce that doubles a text":                 `len(reduce(1..60, #acc + #acc, "a")) > 1`,
	"a reduce that doubles a list":                 `len(reduce(1..60, concat(#acc, #acc), [1])) > 1`,
	"a map of repeats":                             `len(map(1..9999, repeat("a", 999999))) > 1`,
	"loops in loops":                               `all(1..9999, all(1..9999, all(1..9999, # > 0)))`,
	"a range":                                      `len(1..999999999) > 1`,
	"a range beyond what can be counted":           `len(-9223372036854775807..9223372036854775807) > 1`,
	"many ranges":                                  `len(map(1..9999, 1..99999)) > 1`,
	"a join of one text many times":                `len(join(map(1..99999, repeat("a", 99999)), "")) > 1`,
	"a long glue":                                  `len(join(split(repeat(",", 99999), ","), repeat("a", 99999))) > 1`,
	"a replacement of every character":             `len(replace(repeat("a", 99999), "", repeat("b", 99999))) > 1`,
	"a replacement that doubles":                   `len(reduce(1..60, replace(#acc, "a", "aa"), "a")) > 1`,
	"lists that share their elements":              `len(toJSON(reduce(1..60, [#acc, #acc], [1]))) > 1`,
	"the same as text":                             `len(string(reduce(1..60, [#acc, #acc], [1]))) > 1`,
	"the same, flattened":                          `len(flatten(reduce(1..60, [#acc, #acc], [1]))) > 1`,
	"the same, compared":                           `reduce(1..60, [#acc, #acc], [1]) == reduce(1..60, [#acc, #acc], [1])`,
	"the same, looked for":                         `reduce(1..60, [#acc, #acc], [1]) in [reduce(1..60, [#acc, #acc], [1])]`,
	"the same as maps":                             `len(toJSON(reduce(1..60, {{"a": #acc, "b": #acc}}, {}))) > 1`,
	"the same, for its maximum":                    `max(reduce(1..60, [#acc, #acc], [1])) > 1`,
	"a list as deep as there is memory":            `len(string(reduce(1..99999, [#acc], [1]))) > 1`,
	"JSON that grows":                              `len(reduce(1..60, toJSON(#acc), "\"")) > 1`,
	"Base64 that grows":                            `len(reduce(1..99, toBase64(#acc), "a")) > 1`,
	"a text for every character":                   `len(split(repeat("a", 999999), "")) > 1 && len(split(repeat("a", 999999), "")) > 1`,
	"each compared with each":                      `len(uniq(1..99999)) > 1`,
	"a cutset as long as the text":                 `trim(repeat("ä", 99999), repeat("öä", 99999)) == ""`,
	"a slow pattern":                               `repeat("a", 99999) matches "(a?){300}b"`,
	"a slow pattern that is put together":          `repeat("a", 99999) matches ("(a?){300}" + "b")`,
	"a pattern of millions of steps, put together": `"a" matches ("(abcdefgh" + "ijkl){1000}")`,
	"many time zones":                              `any(1..9999, date("2026-01-01 00:00:00", "2006-01-02 15:04:05", "Europe/Berlin").Year() == 1)`,
	"groups of groups":                             `len(groupBy(1..99999, repeat("a", 99))) > 1`,
	"a sort by long texts":                         `len(sortBy(1..9999, repeat("a", 999) + string(#))) > 1`,
	"variables that double":                        doublings(),
	"a time with a long layout":                    `any(1..9999, len(date("2026-01-01").Format(repeat("January", 9999))) < 0)`,
}

// doublings writes an expression that doubles a text 40 times without a loop.
func doublings() string {
	var b strings.Builder
	b.WriteString(`let a0 = "aaaaaaaa"; `)
	for i := range 40 {
		fmt.Fprintf(&b, "let a%d = a%d + a%d; ", i+1, i, i)
	}
	return b.String() + "len(a40) > 1"
}

func TestAnExpressionThatWantsTooMuchIsAFaultOfItsRuleAndNoMatch(t *testing.T) {
	for name, text := range killers {
		t.Run(name, func(t *testing.T) {
			var told []error
			cfg := testConfig()
			cfg.OnWhenError = func(_ string, err error) { told = append(told, err) }
			file := world + "rules:\n  - name: a\n    match:\n      when: |\n        " + text + "\n    notify: chat\n" + ending
			rules, err := Load("rules.yaml", []byte(file), cfg)
			if err != nil {
				t.Fatal(err)
			}
			ev := activated(router.EndpointErrorRate, 10)
			var d router.Decision
			made := allocated(func() { d = rules.Decide(&ev) })
			if d.Rule() == "a" || len(told) != 1 || !errors.Is(told[0], errBudget) {
				t.Errorf("decided by %q, told %v", d.Rule(), told)
			}
			if most := uint64(64 << 20); made > most {
				t.Errorf("it took %d MiB", made>>20)
			}
			if strings.Contains(fmt.Sprint(told), "\n") {
				t.Errorf("not one line: %v", told)
			}
		})
	}
}

// allocated returns how much memory a call takes in all, in bytes.
func allocated(call func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestExpressionsThatAreTooLargeAreMistakes(t *testing.T) {
	deep := strings.Repeat("(", maxWhen)
	for _, c := range []struct{ name, text, want string }{
		{"too long", strings.Repeat("a", maxWhen+1),
			"rules.yaml:14:11: rules[0].match.when: an expression has at most 16 KiB"},
		{"as deep as can be", deep[1:], "the expression ends too early"},
		{"minus, as often as can be", "1" + strings.Repeat("-", maxWhen-1), "the expression ends too early"},
		{"lists, as deep as can be", "1+" + strings.Repeat("[", maxWhen-2), "the expression ends too early"},
		{"a pattern of many steps", `event matches "(abcdefghijkl){1000}"`,
			`rules.yaml:14:25: rules[0].match.when: it takes too much time or memory: the pattern stands for more than 2000 steps`},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := world + "rules:\n- name: a\n  match:\n    when: " + c.text + "\n  notify: chat\n" + ending
			_, err := Load("rules.yaml", []byte(file), testConfig())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %.300v, want %s", err, c.want)
			}
		})
	}
	var many strings.Builder
	for i := range maxPatterns/990 + 10 {
		fmt.Fprintf(&many, "- {name: r%d, match: {when: 'event matches \"a{990}\"'}, notify: chat}\n", i)
	}
	_, err := Load("rules.yaml", []byte(world+"rules:\n"+many.String()+ending), testConfig())
	if err == nil || strings.Count(err.Error(), "\n") != 0 ||
		!strings.Contains(err.Error(), "the patterns of all rules together are too large") {
		t.Errorf("got %v", err)
	}
}

// honest are expressions as people write them, and one of each function.
var honest = []string{
	`event == "ENDPOINT_ERROR_RATE" && threshold >= 10`,
	`error_rate > 14 and threshold in [10, 50]`,
	`not (alert_state == "DEACTIVATED")`,
	`any(errors, .error_type == "timeout_error" and .error_count > 1)`,
	`all(errors, {.error_rate > 0})`,
	`none(errors, .error_rate > 100)`,
	`one(errors, .error_type contains "timeout")`,
	`len(filter(errors, .error_rate > 1)) > 0`,
	`filter(errors, .error_rate > 1)[0].error_type == "timeout_error"`,
	`map(errors, .error_type) == ["timeout_error", "other"]`,
	`count(errors, .error_rate > 1) >= 1`,
	`count(map(errors, .error_rate > 1)) == 1`,
	`sum(map(errors, .error_count)) > 3`,
	`sum(errors, .error_count) > 3`,
	`find(errors, .error_rate > 1).error_type == "timeout_error"`,
	`findIndex(errors, .error_rate > 1) == 0`,
	`findLast(errors, .error_rate > 1)?.error_type == "timeout_error"`,
	`findLastIndex(errors, true) == 1`,
	`len(groupBy(errors, .error_type)) == 2`,
	`sortBy(errors, .error_rate, "desc")[0].error_rate > 1`,
	`reduce(errors, #acc + .error_rate, 0) > 3`,
	`reduce(1..9, #acc + #index) == 37`,
	`value.a.b == 2`,
	`value?.x?.y == nil`,
	`(value.x ?? "none") == "none"`,
	`value["a"]["b"] > 1`,
	`value.list[1:3] == [2, 3]`,
	`value.list[-1] == 4`,
	`first(value.list) == 1 and last(value.list) == 4`,
	`get(value, "nothing") == nil`,
	`take(value.list, 2) == [1, 2]`,
	`keys(value.a) == ["b"]`,
	`values(value.a) == [2]`,
	`toPairs(value.a)[0][0] == "b"`,
	`fromPairs([["a", 1]])["a"] == 1`,
	`reverse(value.list)[0] == 4`,
	`uniq([1, 1, 2]) == [1, 2]`,
	`concat([1], [2], value.list) != []`,
	`flatten([[1], [2, [3]]]) == [1, 2, 3]`,
	`sort(value.list, "desc")[0] == 4`,
	`max(value.list) == 4 and min(1, 2) == 1 and mean(value.list) == 2.5 and median(value.list) == 2.5`,
	`abs(-1) + ceil(1.2) + floor(1.8) + round(1.5) == 6`,
	`int("3") + float("1.5") == 4.5`,
	`string(threshold) == "10"`,
	`type(value) == "map"`,
	`upper("a") + lower("B") == "Ab"`,
	`trim("  a ") == "a" && trim("xax", "x") == "a"`,
	`trimPrefix("ab", "a") == "b" and trimSuffix("ab", "b") == "a"`,
	`split("a,b", ",") == ["a", "b"]`,
	`splitAfter("a,b", ",", 2) == ["a,", "b"]`,
	`replace("aXbX", "X", "-") == "a-b-"`,
	`replace("aXbX", "X", "-", 1) == "a-bX"`,
	`repeat("ab", 2) == "abab"`,
	`join(["a", "b"], "-") == "a-b"`,
	`join(split("a b", " ")) == "ab"`,
	`indexOf("abc", "b") == lastIndexOf("abc", "b")`,
	`hasPrefix("abc", "a") && hasSuffix("abc", "c")`,
	`toJSON([1]) != "" and fromJSON("[1,2]")[1] == 2`,
	`fromBase64(toBase64("abc")) == "abc"`,
	`duration("1h").Minutes() == 60`,
	`date("2026-01-02").Year() == 2026`,
	`date("2026-01-02", "2006-01-02").Format("02") == "02"`,
	`date("2026-01-02 03:04:05").In(timezone("Europe/Berlin")).Hour() == 4`,
	`bitand(6, 3) == 2 and bitnot(0) == -1`,
	`message matches "^(?i)the .* rate"`,
	`message matches ("^The" + ".*")`,
	`not (message matches "x$")`,
	`flow in ["1", "2"] or flow_name startsWith "Check"`,
	`"team" in labels and labels.team == "payments"`,
	`"b" in value.a`,
	`5 in 1..10`,
	`threshold > 1 ? event != "" : false`,
	`if threshold > 1 { true } else { false }`,
	`let x = value.a; x.b > 1`,
	`let n = 2; let m = n * 3; m ** 2 == 36`,
	`7 % 4 == 3 && -1 < 0 && 1 / 2 == 0.5`,
	`value.list | filter(# > 2) | len() == 2`,
	`any(value.list, # == 2 && any([1, 2], # == 1))`,
	`"abc"[1:] == "bc"`,
	`event == "X" || true`,
	`{"a": 1}.a == 1`,
	`len(value.list) == 4; true`,
	`value.list == [1, 2, 3, 4]`,
	`"a" < "b" and "b" >= "a"`,
	`$env["threshold"] == 10`,
	`all([], false)`,
	`value.n + 1 == 8`,
	`value.s + "y" == "xy"`,
}

// TestTheMeterChangesNothing runs expressions with the meter and without.
func TestTheMeterChangesNothing(t *testing.T) {
	ev := activated(router.EndpointErrorRate, 10)
	ev.Reading.Value = new(14.28)
	ev.Message = "The error rate has gone up"
	ev.Errors = []router.ErrorCount{{Type: "TIMEOUT", Rate: new(3.5), Count: new(4.0)},
		{Type: "other", Rate: new(0.5), Count: new(1.0)}}
	ev.Value = json.RawMessage(`{"a": {"b": 2}, "list": [1, 2, 3, 4], "n": 7, "s": "x"}`)
	r := mustLoad(t, world+"default: {notify: chat}")
	types := whenTypes([]string{"team"})
	env := map[string]any{}
	for name := range types {
		env[name] = r.fact(name, &ev)
	}
	for _, text := range honest {
		w, err := compileWhen(text, types)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		holds, cost, err := w.run(env, whenBudget)
		plain, compileErr := expr.Compile(text, expr.Env(types), expr.AsBool(), expr.DisableBuiltin("now"),
			expr.Optimize(false))
		if compileErr != nil {
			t.Errorf("%s: %v", text, compileErr)
			continue
		}
		want, wantErr := expr.Run(plain, env)
		if (err != nil) != (wantErr != nil) || err == nil && want != holds {
			t.Errorf("%s: got %v, %v, want %v, %v", text, holds, err, want, wantErr)
		}
		if err == nil && !holds {
			t.Errorf("%s is false: write one that is true", text)
		}
		if cost > whenBudget/100 {
			t.Errorf("%s costs %d", text, cost)
		}
	}
}

func TestOneRuleThatWantsTooMuchLeavesTheOthersWhatTheyNeed(t *testing.T) {
	var told []string
	cfg := testConfig()
	cfg.OnWhenError = func(rule string, _ error) { told = append(told, rule) }
	var text strings.Builder
	for i := range 8 {
		fmt.Fprintf(&text,
			"  - {name: greedy %d, match: {when: 'len(repeat(\"a\", 1999999)) > 1 && len(repeat(\"a\", 999999999)) > 1'}, "+
				"notify: chat}\n", i)
	}
	rules, err := Load("rules.yaml", []byte(world+"rules:\n"+text.String()+
		"  - {name: honest, match: {when: error_rate > 1}, notify: chat}\n"+ending), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ev := activated(router.EndpointErrorRate, 10)
	ev.Reading.Value = new(14.28)
	if d := rules.Decide(&ev); d.Rule() != "honest" || len(told) != 8 {
		t.Errorf("decided by %q, told %q", d.Rule(), told)
	}
}

// FuzzWhen runs any expression on any value: it ends soon, and takes a bounded amount of memory.
func FuzzWhen(f *testing.F) {
	for _, text := range killers {
		f.Add(text, `{}`)
	}
	for _, text := range honest {
		f.Add(text, `{"a": {"b": 2}, "list": [1, 2, 3, 4], "n": 7, "s": "x"}`)
	}
	types := whenTypes([]string{"team"})
	f.Fuzz(func(t *testing.T, text, value string) {
		if len(value) > 4<<10 {
			return
		}
		var w *when
		var err error
		if made := allocated(func() { w, err = compileWhen(text, types) }); made > 256<<20 {
			t.Errorf("compiling takes %d MiB", made>>20)
		}
		if err != nil {
			return
		}
		r := &Rules{}
		ev := activated(router.EndpointErrorRate, 10)
		ev.Value = json.RawMessage(value)
		if made := allocated(func() {
			_,
				err = r.askWhen(w, &ev, &facts{of: map[string]any{}, left: eventBudget})
		}); made > 512<<20 {
			t.Errorf("running takes %d MiB", made>>20)
		}
	})
}
