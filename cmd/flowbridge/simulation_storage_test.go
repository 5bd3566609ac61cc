package main

import (
	"context"
	"fmt"

	"flowbridge/router"
	"flowbridge/router/store"
)

// crash is what a call to the storage panics with when the process dies there.
type crash struct{}

// survive does something, and starts the bridge anew if it dies over it.
func (w *world) survive(do func()) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case crash:
			w.Crashes++
			w.say("-- killed; started again")
			w.must(w.store.Store.Close())
			w.start()
		default:
			panic(p)
		}
	}()
	do()
}

// fragile is the storage of a process that can die, and a storage that can fail: before a call reaches the disk, or
// after.
type fragile struct {
	*store.Store
	w    *world
	left int  // calls until the process dies; below 0 it lives
	sick int  // calls that fail
	deaf bool // they do what was asked, and the answer is lost
}

// errSick is what a sick storage says. Whoever holds a result gives it up, rather than to wait by a clock that is not ours.
var errSick = fmt.Errorf("the storage is sick: %w", router.ErrClosed)

// call makes a call, unless the process dies before it or the storage fails.
func (f *fragile) call(do func() error) error {
	f.dies()
	defer f.dies()
	if f.sick == 0 {
		return do()
	}
	f.sick--
	if f.deaf {
		f.w.must(do())
	}
	return errSick
}

// dies counts a call.
func (f *fragile) dies() {
	if f.left == 0 {
		panic(crash{})
	}
	if f.left > 0 {
		f.left--
	}
}

func (f *fragile) Append(ctx context.Context, events []router.Event) (stored int, err error) {
	err = f.call(func() (err error) {
		stored, err = f.Store.Append(ctx, events)
		return err
	})
	return stored, err
}

func (f *fragile) Commit(ctx context.Context, b router.Batch) error {
	return f.call(func() error {
		err := f.Store.Commit(ctx, b)
		if err == nil {
			f.w.noteOpenings(&b)
		}
		return err
	})
}

func (f *fragile) Claim(ctx context.Context, ask router.Ask) (n *router.Notification, short int, err error) {
	err = f.call(func() (err error) {
		n, short, err = f.Store.Claim(ctx, ask)
		return err
	})
	return n, short, err
}

func (f *fragile) Finish(ctx context.Context, r router.Result) error {
	return f.call(func() error {
		err := f.Store.Finish(ctx, r)
		if err == nil && r.Digest != nil && r.State == router.DeliveryDelivered {
			f.w.digests[r.Receipt.Digest] = true
		}
		return err
	})
}

// noteOpenings counts how often page was owed the opening of an incident.
func (w *world) noteOpenings(b *router.Batch) {
	for _, o := range b.Owed {
		if o.Target.Notifier == "page" && o.Incident != 0 {
			delivery := [2]int64{o.Incident, o.Event}
			if o.Open && !w.pageOpen[delivery] {
				w.openings[o.Key]++
			}
			w.pageOpen[delivery] = o.Open
		}
	}
}
