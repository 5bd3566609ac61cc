package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestADamagedFileIsSaidToBeDamaged writes over single pages of a file: what goose or SQLite make of it helps nobody.
func TestADamagedFileIsSaidToBeDamaged(t *testing.T) {
	ctx := context.Background()
	for name, page := range map[string]int{"the table of versions": 1, "the schema": 0} {
		t.Run(name, func(t *testing.T) {
			const size, head = 4096, 100
			path := filepath.Join(t.TempDir(), "a.db")
			s := openFull(t, path)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			text := read(t, path)
			copy(text[max(page*size, head):], bytes.Repeat([]byte{0xff}, size-head))
			if err := os.WriteFile(path, text, private); err != nil {
				t.Fatal(err)
			}
			if s, err := Open(ctx, Config{DSN: path}); !errors.Is(err, ErrDamaged) {
				t.Errorf("it was opened: %v, %v", s != nil, err)
			}
			if err := Backup(ctx, path, path+".copy"); !errors.Is(err, ErrDamaged) {
				t.Errorf("it was copied: %v", err)
			}
		})
	}
}
