package main

import (
	"context"
	"fmt"
	"time"

	"flowbridge/router"
)

// inTime does what touches the files. It gives up on it when ctx ends or it takes too long: a call that hangs in the
// system cannot be ended, so its goroutine is left behind, and until it ends nothing else touches the files.
func (s *ruleset) inTime(ctx context.Context, do func() error) error {
	limit := time.NewTimer(s.limit)
	defer limit.Stop()
	slow := fmt.Errorf("%s cannot be read within %s: look whether its file system answers", s.path,
		router.FormatDuration(s.limit))
	select {
	case s.turn <- struct{}{}:
	case <-limit.C:
		return slow
	case <-ctx.Done():
		return ctx.Err()
	}
	done := make(chan error)
	given := make(chan struct{})
	go func() {
		err := do()
		<-s.turn
		select {
		case done <- err:
		case <-given:
			pulse(s.late)
		}
	}()
	defer close(given)
	select {
	case err := <-done:
		return err
	case <-limit.C:
		return slow
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pulse wakes whoever waits on c; a pulse that nobody took yet is enough.
func pulse(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
