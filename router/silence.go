package router

import "time"

// Silence is a person's wish not to be told of new trouble for a while. It never hides a recovery, and who was
// told of an incident before stays told.
type Silence struct {
	ID string `json:"id"`
	Scope
	Since time.Time `json:"since"`          // before it, it covers nothing
	Start time.Time `json:"start,omitzero"` // when it was asked to begin, where that is later than the wish; zero: at once
	Until time.Time `json:"until,omitzero"` // zero: until what it covers on its flow has recovered
	By    string    `json:"by,omitempty"`
	Why   string    `json:"why,omitempty"`
	Ended time.Time `json:"ended,omitzero"` // zero while it holds
}

// Scope is what a silence covers: all that is set must fit. The zero Scope covers everything.
type Scope struct {
	WABA   string            `json:"waba,omitempty"`
	Flow   string            `json:"flow,omitempty"` // id
	Event  string            `json:"event,omitempty"`
	Labels map[string]string `json:"labels,omitempty"` // team, and any other label of the rules file
}

// MaxSilences bounds how many silences hold at a time: each is compared with each alert.
const MaxSilences = 500

// words says for the timeline that an incident came under the silence; the zero Silence, that it is under none any
// more.
func (s *Silence) words() string {
	by := ""
	if s.By != "" {
		by = " by " + s.By
	}
	if s.ID == "" {
		return "No longer silenced"
	}
	return "Silenced" + by + " " + s.length()
}

// UntilRecovered says that the silence ends by itself once nothing is wrong any more.
func (s *Silence) UntilRecovered() bool { return s.Until.IsZero() }

// holds says whether the silence is in force at a time.
func (s *Silence) holds(now time.Time) bool { return !s.Over(now) && !s.Planned(now) }

// Planned says whether the silence has not begun yet.
func (s *Silence) Planned(now time.Time) bool { return !s.Over(now) && now.Before(s.Since) }

// Over says whether the silence has ended, whether or not it had begun.
func (s *Silence) Over(now time.Time) bool {
	return !s.Ended.IsZero() || !s.UntilRecovered() && !now.Before(s.Until)
}

// Covers says whether an alert of an incident's flow is covered.
func (s *Scope) Covers(flow FlowID, event string, labels map[string]string) bool {
	if s.WABA != "" && s.WABA != flow.WABA || s.Flow != "" && s.Flow != flow.Flow ||
		s.Event != "" && s.Event != event && s.Event != EventOf(event) {
		return false
	}
	for key, value := range s.Labels {
		if labels[key] != value {
			return false
		}
	}
	return true
}
