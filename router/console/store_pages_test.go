package console

import (
	"context"
	"fmt"

	"flowbridge/router"
)

func (s *memStore) ConsoleKey(context.Context) ([]byte, error) {
	return []byte("a key of thirty-two random bytes"), s.fault
}

func (s *memStore) PageStamp(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fmt.Sprint(len(s.events)+len(s.appended), s.stamp), s.fault
}

func (s *memStore) Lanes(context.Context) ([]router.Lane, error) { return s.lanes, s.fault }
