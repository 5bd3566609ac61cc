package slack

import (
	"strings"
	"time"
)

// permalink is how Slack named a message of a channel when it was asked last: all others there have the same name up to
// their ts. In a storm a card is then one call, not two.
type permalink struct {
	before string // what comes before the digits of the ts
	until  time.Time
}

// permalinkFor is how long an answer is taken for others: a workspace may get another address. permalinkRest is how
// long Slack is not asked after it gave none.
const permalinkFor, permalinkRest = time.Hour, time.Minute

// linked returns the address of a message that stands in no thread, "" where Slack is to be asked.
func (s *Notifier) linked(channel, ts string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.links[channel]; ok && s.cfg.Now().Before(p.until) {
		return p.before + digits(ts)
	}
	return ""
}

// learn takes up the address of such a message, if it ends as Slack's do: in its channel, and the digits of its ts.
func (s *Notifier) learn(channel, ts, link string) {
	before, ok := strings.CutSuffix(link, digits(ts))
	if !ok || !strings.HasSuffix(before, "/"+channel+"/p") {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[channel] = permalink{before, s.cfg.Now().Add(permalinkFor)}
}

func digits(ts string) string { return strings.ReplaceAll(ts, ".", "") }
