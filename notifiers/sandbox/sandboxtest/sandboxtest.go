// Package sandboxtest holds what the tests of the notifiers and of the program share beside the stand-in services. Only
// tests import it; the rooms under router may not, and have what they need of it for themselves.
package sandboxtest

import (
	"bytes"
	"os"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// LogBuffer keeps what goroutines or a process write, and may be read meanwhile. The zero LogBuffer is empty.
type LogBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write adds to what is kept.
func (b *LogBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was written so far.
func (b *LogBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Golden compares got with the file at path. With update, a flag of the tests that call it, the file is written first.
func Golden(t testing.TB, path, got string, update bool) {
	t.Helper()
	if update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
