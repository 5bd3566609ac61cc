package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestABridgeKeepsToTheMemoryOfItsControlGroup runs it in one with little. Left alone in 100 MiB, a storm of posts
// brought it there, where it read its own program from the disk again and again, and answered nobody for minutes.
func TestABridgeKeepsToTheMemoryOfItsControlGroup(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mebibytes, heap int64
		warns           bool
	}{
		{128, 80, false},
		{64, 25, true},
	} {
		t.Run(fmt.Sprint(tt.mebibytes), func(t *testing.T) {
			limit := fmt.Sprint(tt.mebibytes << 20)
			group, err := newControlGroup(fmt.Sprintf("flowbridge-test-%d-%s", os.Getpid(), limit), "memory",
				map[string]string{"memory.limit_in_bytes": limit}, map[string]string{"memory.max": limit})
			if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EROFS) {
				t.Skipf("no control group can be made here: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(group.remove)
			s := newServices(t, "#ops")
			s.group = group
			p := start(t, s, writeRules(t, guardRules), filepath.Join(t.TempDir(), "bridge.db"))
			var heap int64
			eventually(t, "the runtime keeps to a limit", func() bool {
				heap = runtimeLimit(t, p.Admin)
				return heap < 1<<50
			})
			if heap>>20 != tt.heap {
				t.Errorf("the heap may have %d MiB, want %d", heap>>20, tt.heap)
			}
			if warned := strings.Contains(p.stderr.String(), "leaves little memory"); warned != tt.warns {
				t.Errorf("warned: %v\n%s", warned, p.stderr)
			}
		})
	}
}

var runtimeLimitLine = regexp.MustCompile(`(?m)^go_gc_gomemlimit_bytes (\S+)$`)

// runtimeLimit is what the Go runtime of a bridge may use, in bytes; math.MaxInt64 for no limit, which as a float is
// one more.
func runtimeLimit(t *testing.T, admin string) int64 {
	t.Helper()
	text := getText(t, admin+"/metrics")
	found := runtimeLimitLine.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no limit among the metrics:\n%s", text)
	}
	limit, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	if limit >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(limit)
}
