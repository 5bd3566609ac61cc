package router

import (
	"cmp"
	"maps"
	"slices"
)

// deliveryID names a delivery: see Owed.
type deliveryID struct {
	incident, event int64
	notifier        string
}

func (o *Owed) delivery() deliveryID { return deliveryID{o.Incident, o.Event(), o.Target.Notifier} }

// owing is what a batch owes, each delivery once: two hundred refreshes of one incident are one row for each of its
// notifiers, and not two hundred.
type owing struct {
	order        []deliveryID // of owed, as they came first: that is the order in which deliveries are made
	owed         map[deliveryID]Owed
	alreadyThere map[deliveryID]Owed
	overtaken    map[deliveryID]Owed // already there, and then something newer was owed
}

func newOwing() owing {
	return owing{owed: map[deliveryID]Owed{}, alreadyThere: map[deliveryID]Owed{}, overtaken: map[deliveryID]Owed{}}
}

// owe takes up that a delivery is owed something newer. What the service knew before that it knew all the same.
func (w *owing) owe(o Owed) {
	id := o.delivery()
	first, ok := w.owed[id]
	if !ok {
		w.order = append(w.order, id)
	} else {
		o.Key, o.Opening = first.Key, cmp.Or(o.Opening, first.Opening)
		o.Cosmetic = o.Cosmetic && first.Cosmetic
		if first.Target.Kind != "" { // later ones may only have the notifier's name
			o.Target = first.Target
		}
	}
	w.owed[id] = o
	if o.Reopened || !o.Ended.IsZero() {
		there := o
		there.Open, there.At = o.Reopened, o.Ended
		if o.Reopened && o.Open {
			there.Opening--
		}
		w.alreadyThere[id] = there
	}
	if known, ok := w.alreadyThere[id]; ok {
		w.overtaken[id] = known
		delete(w.alreadyThere, id)
	}
}

// record takes up that a change came from the service of a delivery.
func (w *owing) record(o Owed) {
	id := o.delivery()
	o.Opening = cmp.Or(o.Opening, w.alreadyThere[id].Opening)
	w.alreadyThere[id] = o
}

// write adds it to what is to be stored.
func (w *owing) write(b *Batch) {
	for _, id := range w.order {
		b.Owed = append(b.Owed, w.owed[id])
	}
	b.AlreadyThere, b.Overtaken = byDelivery(w.alreadyThere), byDelivery(w.overtaken)
}

func byDelivery(of map[deliveryID]Owed) []Owed {
	return slices.SortedFunc(maps.Values(of), func(a, b Owed) int {
		return cmp.Or(cmp.Compare(a.Incident, b.Incident), cmp.Compare(a.Event(), b.Event()),
			cmp.Compare(a.Target.Notifier, b.Target.Notifier))
	})
}
