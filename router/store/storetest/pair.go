//go:build unix

package storetest

import "testing"

// Pair is a primary and its standby behind one virtual address: what operators have who want PostgreSQL to outlast a
// machine. Its commits are synchronous, so that a failover loses nothing that was answered.
type Pair struct {
	Primary, Standby *Server
	links            []*Link
}

// StartPair makes and starts both. Where this machine has no PostgreSQL the test is skipped, or fails if Require says
// so.
func StartPair(t testing.TB) *Pair {
	t.Helper()
	primary := Start(t)
	return &Pair{Primary: primary, Standby: primary.Standby(t)}
}

// Link opens a way to whichever of both is the primary.
func (p *Pair) Link(t testing.TB) *Link {
	t.Helper()
	l := p.Primary.Link(t)
	p.links = append(p.links, l)
	return l
}

// Failover is a way in which the standby becomes the primary. before runs when the old primary takes no writes any
// more and the address still leads there.
type Failover struct {
	Name string
	Do   func(p *Pair, t testing.TB, before func())
}

// Failovers returns every way.
func Failovers() []Failover {
	return []Failover{
		{"the primary comes back as a standby, and the address moves later", (*Pair).switchover},
		{"sessions live on at a primary that became read-only", (*Pair).freeze},
		{"the primary is lost as by a power cut", (*Pair).crash},
	}
}

// switchover tells every session that it is over (57P01). Those made next are with a standby.
func (p *Pair) switchover(t testing.TB, before func()) {
	old := p.Primary
	old.Shutdown()
	p.Standby.Promote(t)
	old.Follow(t, p.Standby)
	before()
	p.lead(p.Standby)
	p.Standby = old
}

// freeze leaves the old primary as it is: read-only, and further and further behind.
func (p *Pair) freeze(t testing.TB, before func()) {
	p.Primary.Freeze(t)
	before()
	p.Standby.Promote(t)
	p.lead(p.Standby)
	p.Standby = p.Primary.Standby(t)
}

func (p *Pair) crash(t testing.TB, before func()) {
	p.Primary.Stop()
	before()
	p.Standby.Promote(t)
	p.lead(p.Standby)
	p.Standby = p.Primary.Standby(t)
}

// lead makes a server the primary that new connections find.
func (p *Pair) lead(to *Server) {
	p.Primary = to
	for _, l := range p.links {
		l.To(to)
	}
}
