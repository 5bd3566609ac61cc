package graph

import "flowbridge/router"

// Names answers at once how something is called; ok is false where that is not known. A Client is one.
type Names interface {
	Name(kind Kind, id string) (name string, ok bool)
	Number(account, digits string) (name string, ok bool)
}

// Rules are rules whose decisions name, from Graph, the flows and accounts that their authors did not, and phone
// numbers. What a rule matches and whom it tells is as before: conditions see the names of the rules file alone, so
// that nothing hangs on what Graph answers, and when.
func Rules(rules router.Rules, names Names) router.Rules { return named{rules, names} }

type named struct {
	router.Rules
	names Names
}

// Decide adds names to what the rules say of one of Meta's events.
func (n named) Decide(e *router.Event) router.Decision {
	d := n.Rules.Decide(e)
	if !e.OfMeta() || d.Drop {
		return d
	}
	if d.FlowName == "" && e.Flow != "" && e.Subject.OfFlow() {
		d.FlowName, _ = n.names.Name(Flow, e.Flow)
	}
	if d.AccountName == "" {
		d.AccountName, _ = n.names.Name(Account, e.WABA)
	}
	if id := e.Subject.NumberID(); id != "" {
		d.NumberName, _ = n.names.Name(Phone, id)
	}
	if e.Subject.Kind == router.SubjectPhone {
		d.NumberName, _ = n.names.Number(e.WABA, e.Subject.ID)
	}
	return d
}

// Plain keeps the names.
func (n named) Plain() router.Rules { return named{n.Rules.Plain(), n.names} }
