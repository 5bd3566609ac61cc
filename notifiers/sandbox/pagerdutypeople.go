package sandbox

import (
	"cmp"
	"fmt"
	"slices"

	"flowbridge/router"
)

// What people do in PagerDuty, by the number of an incident. Each act sends a webhook, where there is a subscription.
// An act that the real one would not offer is an error.

// Acknowledge is a person's, who has the incident from then on.
func (p *PagerDuty) Acknowledge(number int64, who string) error {
	return p.person(number, func(inc *Incident) error {
		if inc.Status != IncidentTriggered {
			return notPossible(inc)
		}
		inc.Status, inc.AcknowledgedAt, inc.Assignees = IncidentAcknowledged, p.now(), []string{who}
		p.tell("incident.acknowledged", inc, user(who), nil)
		return nil
	})
}

// Unacknowledge takes an acknowledgement back; without a name it ran out.
func (p *PagerDuty) Unacknowledge(number int64, who string) error {
	return p.person(number, func(inc *Incident) error {
		if inc.Status != IncidentAcknowledged {
			return notPossible(inc)
		}
		inc.Status = IncidentTriggered
		p.tell("incident.unacknowledged", inc, user(who), nil)
		return nil
	})
}

// Resolve resolves an incident and all its alerts.
func (p *PagerDuty) Resolve(number int64, who string) error {
	return p.person(number, func(inc *Incident) error {
		if inc.Status == IncidentResolved {
			return notPossible(inc)
		}
		p.resolve(inc)
		p.tell("incident.resolved", inc, user(who), nil)
		return nil
	})
}

func (p *PagerDuty) resolve(inc *Incident) {
	inc.Status, inc.ResolvedAt = IncidentResolved, p.now()
	for i := range inc.Alerts {
		inc.Alerts[i].Resolved = true
	}
}

// Reopen takes back that an incident was resolved.
func (p *PagerDuty) Reopen(number int64, who string) error {
	return p.person(number, func(inc *Incident) error {
		if inc.Status != IncidentResolved || inc.MergedInto != 0 {
			return notPossible(inc)
		}
		inc.Status = IncidentTriggered
		for i := range inc.Alerts {
			inc.Alerts[i].Resolved = false
		}
		p.tell("incident.reopened", inc, user(who), nil)
		return nil
	})
}

// Reassign gives an incident to others.
func (p *PagerDuty) Reassign(number int64, who string, to ...string) error {
	return p.hand("incident.reassigned", number, who, to)
}

// Escalate gives an incident to the next in line.
func (p *PagerDuty) Escalate(number int64, who string, to ...string) error {
	return p.hand("incident.escalated", number, who, to)
}

func (p *PagerDuty) hand(kind string, number int64, who string, to []string) error {
	return p.person(number, func(inc *Incident) error {
		if inc.Status == IncidentResolved {
			return notPossible(inc)
		}
		inc.Status, inc.Assignees = IncidentTriggered, slices.Clone(to)
		p.tell(kind, inc, user(who), nil)
		return nil
	})
}

// DeleteKey takes the integration with a routing key from its service: events with that key are refused from then on.
func (p *PagerDuty) DeleteKey(key router.Secret) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg.RoutingKeys = slices.DeleteFunc(slices.Clone(p.cfg.RoutingKeys), func(k router.Secret) bool { return k == key })
}

// Note writes a note on an incident.
func (p *PagerDuty) Note(number int64, who, text string) error {
	return p.person(number, func(inc *Incident) error {
		p.addNote(inc, who, text)
		return nil
	})
}

func (p *PagerDuty) addNote(inc *Incident, who, text string) {
	inc.Notes = append(inc.Notes, text)
	p.tell("incident.annotated", inc, user(who), map[string]any{
		"id": fmt.Sprintf("N%d-%d", inc.Number, len(inc.Notes)), "type": "incident_note", "content": text, "trimmed": false,
		"incident": inc.reference(),
	})
}

// Prioritize gives an incident a priority, "" for none.
func (p *PagerDuty) Prioritize(number int64, who, priority string) error {
	return p.person(number, func(inc *Incident) error {
		inc.Priority = priority
		p.tell("incident.priority_updated", inc, user(who), nil)
		return nil
	})
}

// Merge moves the alerts of an incident into another. The first is resolved with that for its reason.
func (p *PagerDuty) Merge(number, into int64, who string) error {
	return p.person(number, func(inc *Incident) error {
		target := p.numbered(into)
		if target == nil || target == inc || target.Status == IncidentResolved || inc.Status == IncidentResolved {
			return notPossible(inc)
		}
		target.Alerts = append(target.Alerts, inc.Alerts...)
		inc.Alerts, inc.MergedInto = nil, target.Number
		p.resolve(inc)
		p.tell("incident.resolved", inc, user(who), nil)
		return nil
	})
}

// person finds an incident and does something with it.
func (p *PagerDuty) person(number int64, do func(*Incident) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	inc := p.numbered(number)
	if inc == nil {
		return fmt.Errorf("there is no incident #%d", number)
	}
	err := do(inc)
	p.wake()
	return err
}

func (p *PagerDuty) numbered(number int64) *Incident {
	i, found := slices.BinarySearchFunc(p.incidents, number,
		func(inc *Incident, number int64) int { return cmp.Compare(inc.Number, number) })
	if !found {
		return nil
	}
	return p.incidents[i]
}

func notPossible(inc *Incident) error {
	return fmt.Errorf("incident #%d is %s: that is not possible", inc.Number, inc.Status)
}
