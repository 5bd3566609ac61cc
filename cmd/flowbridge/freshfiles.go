package main

import (
	"bytes"
	"slices"
	"sync"
	"time"
)

// lookEvery is how often files are looked at, at most, for what comes in: strangers must not make us read them.
const lookEvery = time.Second

// freshFiles are files that may be replaced while the bridge runs: certificates and secrets. They are looked at when
// somebody needs what they hold, so that nothing runs in between.
type freshFiles struct {
	read  func() ([][]byte, error)
	every time.Duration // between two looks, at least
	now   func() time.Time

	mu     sync.Mutex // held by who looks
	looked time.Time
	seen   [][]byte // what they held when they were looked at last, used or not
}

// look reads the files if that was not done just now, and calls changed with what they hold if that is not what they
// held before. A fault is such a change too: it is told once. Reading them is cheaper than being wrong about their
// times: a mounted secret is swapped by a link, and a file may be written twice within a tick of its clock.
func (f *freshFiles) look(changed func(contents [][]byte, err error)) {
	if !f.mu.TryLock() {
		return // somebody looks
	}
	defer f.mu.Unlock()
	now := f.now()
	if now.Sub(f.looked).Abs() < f.every {
		return
	}
	f.looked = now
	contents, err := f.read()
	state := contents
	if err != nil { // gone for the moment, perhaps: once it is back it differs from this
		state = [][]byte{[]byte(err.Error())}
	}
	if slices.EqualFunc(state, f.seen, bytes.Equal) {
		return
	}
	f.seen = state
	changed(contents, err)
}

// first reads the files for the first time.
func (f *freshFiles) first() (contents [][]byte, err error) {
	f.looked = f.now()
	f.seen, err = f.read()
	return f.seen, err
}
