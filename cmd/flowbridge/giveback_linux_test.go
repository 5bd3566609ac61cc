package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestWhatTheStartNeededIsGivenBack is not parallel: others would have pages of the program mapped again meanwhile.
func TestWhatTheStartNeededIsGivenBack(t *testing.T) {
	mapped := func() (kib int) {
		status, err := os.ReadFile("/proc/self/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(status), "RssFile:")
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			t.Fatalf("RssFile: %v", err)
		}
		return kib
	}
	before := mapped()
	giveBack()
	if after := mapped(); after >= before {
		t.Errorf("%d KiB of files are mapped, %d before", after, before)
	}
}
