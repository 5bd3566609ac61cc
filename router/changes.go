package router

// Changes are the words that Meta is known to use for what happened to another subject than a flow, under the events of
// one name: Event.Change. They are those of the signals that share the name.
type Changes struct {
	Opens []string // trouble that stays until a word of Ends
	Ends  []string // good news
	News  []string // told once
	// Any says that Meta's words are open: one that does not stand here is no slip. Apart says that a word of Opens
	// ends by the same word, or by itself.
	Any, Apart bool
}

// ChangesOf returns the words of events of a name; ok is false for an event of flows, for news of the bridge itself,
// and for one that nobody knows.
func ChangesOf(event string) (c Changes, ok bool) {
	words := func(levels []SignalLevel) (all []string) {
		for _, l := range levels {
			all = append(all, l.Word)
		}
		return all
	}
	for _, s := range SignalsOf(event) {
		if s.Subject == SubjectFlow || s.Subject == SubjectBridge && !s.ByWord() || s.Personal {
			continue
		}
		ok = true
		c.Opens = append(c.Opens, words(s.Levels)...)
		c.Ends = append(c.Ends, words(s.Ends)...)
		c.News = append(c.News, words(s.News)...)
		c.Any = c.Any || s.AnyLevel || !s.ByWord()
		c.Apart = c.Apart || s.Apart
	}
	return c, ok
}
