package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

// TestCallsThatShareATransactionAreEachWholeOrNotAtAll runs several together of which some fail, after they have
// written something, or have ended before they began.
func TestCallsThatShareATransactionAreEachWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	ended, end := context.WithCancel(t.Context())
	end()
	for _, tt := range []struct {
		fail, ended []int
		want        []string
	}{
		{nil, nil, []string{"b0", "b1", "b2"}},
		{[]int{1}, nil, []string{"b0", "b2"}},
		{[]int{0, 2}, nil, []string{"b1"}},
		{[]int{0, 1, 2}, nil, nil},
		{nil, []int{2}, []string{"b0", "b1"}},
		{[]int{0}, []int{1}, []string{"b2"}},
	} {
		t.Run(fmt.Sprintf("fail %v ended %v", tt.fail, tt.ended), func(t *testing.T) {
			s := openFull(t, filepath.Join(t.TempDir(), "shared.db"))
			refused := errors.New("refused")
			var calls []*sharedCall
			for i := range 3 {
				call := &sharedCall{ctx: t.Context(), done: make(chan struct{}), do: func(ctx context.Context, tx *txn) error {
					_, err := tx.ExecContext(ctx, `INSERT INTO budgets (name, paid) VALUES (?, 1)`, fmt.Sprintf("b%d", i))
					if slices.Contains(tt.fail, i) {
						err = errors.Join(err, refused)
					}
					return err
				}}
				if slices.Contains(tt.ended, i) {
					call.ctx = ended
				}
				calls = append(calls, call)
			}
			s.runShared(calls)
			for i, call := range calls {
				<-call.done
				want := map[bool]error{true: refused}[slices.Contains(tt.fail, i)]
				if slices.Contains(tt.ended, i) {
					want = context.Canceled
				}
				if !errors.Is(call.err, want) {
					t.Errorf("call %d ended with %v, want %v", i, call.err, want)
				}
			}
			got, err := all(t.Context(), s.read, `SELECT name FROM budgets ORDER BY name`, nil, scanText)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("there are %v (%v), want %v", got, err, tt.want)
			}
		})
	}
}
