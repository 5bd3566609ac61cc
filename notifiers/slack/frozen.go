package slack

import (
	"context"
	"slices"

	"github.com/slack-go/slack"

	"flowbridge/router"
)

// A root that Slack lets nobody edit any more is left as it is: new numbers wait, and its thread goes on. What it does
// not show must be seen all the same when it gets worse and when it is over: then another root is posted, once for
// each, and the old one gets a reply that leads there. Its buttons stay, and work.

// edit is update, unless it is known that the root cannot be edited.
func (t *telling) edit(ctx context.Context) *failure {
	if t.receipt.Frozen {
		return &failure{method: "chat.update", class: frozen, code: "the message cannot be edited any more"}
	}
	f := t.update(ctx)
	if f.is(frozen) {
		t.receipt.Frozen, t.receipt.Shown = true, 0
		if t.receipt.Open {
			t.receipt.Shown = max(t.receipt.Severity, router.Info)
		}
	}
	return f
}

// deserves says whether what a frozen root does not show deserves another one.
func (t *telling) deserves() bool { return deserves(t.n, t.receipt.Shown) }

func deserves(n *router.Notification, shown router.Severity) bool {
	if n.Open {
		return severityOf(n) > shown
	}
	return shown != 0
}

// follow looks for another root that an earlier attempt posted and could not write down, where Slack lets us edit the
// old one again: else that would go on, and the newer one would say for ever what was true then.
func (t *telling) follow(ctx context.Context) *failure {
	anew := func(e router.Entry) bool {
		return e.Kind == router.EntryResolved || e.Kind == router.EntryOpened || worse(t.n, &e)
	}
	if !t.uncertain() || !slices.ContainsFunc(t.n.Timeline, anew) {
		return nil
	}
	old := t.receipt.TS
	if f := t.adopt(ctx, old); f != nil || t.receipt.TS == old {
		return f
	}
	t.receipt.Old = old
	return t.root(ctx) // it ends: each root that is adopted is newer than the one before
}

// pointer is the entry in the metadata of a line that leads from an old root to its successor.
const pointer = -1

// point leads from a root that was left behind to the one in its place.
func (t *telling) point(ctx context.Context) *failure {
	if t.receipt.Old == "" {
		return nil
	}
	if t.uncertain() && !t.fresh {
		there, f := t.pointed(ctx)
		if f != nil {
			return f
		}
		if there {
			t.receipt.Old = ""
			return nil
		}
	}
	t.link(ctx)
	newer := "There is a newer card of " + t.n.Incident.Name() + " in this channel."
	if t.receipt.Link != "" {
		newer = link(t.receipt.Link, "The newer card of "+t.n.Incident.Name()) + " does."
	}
	text := ":arrow_right: Slack lets nobody edit this card any more: it does not say how it stands. " + newer +
		" The buttons here work still."
	f := t.answer(ctx, t.receipt.Old, text, false, t.metadata(pointer))
	if f.is(gone) || f.refusesReplies() { // then nobody can be led on from there
		f = nil
	}
	if f == nil {
		t.receipt.Old = ""
	}
	return f
}

// pointed says whether an earlier attempt led on from the old root. Each root is left behind once, so that any line of
// that kind in its thread is the one.
func (t *telling) pointed(ctx context.Context) (there bool, _ *failure) {
	f := t.eachReply(ctx, t.receipt.Old, func(m *slack.Message) {
		entry, ok := t.ours(m)
		there = there || ok && entry == pointer
	})
	return there, f
}
