package bus

// maxGroup is how many sessions are submitted together. What is decoded is not yet on its way; and the first of them waits for it.
const maxGroup = 64

// group are sessions that have arrived together: decoded, and not yet submitted.
type group struct {
	entries  []pending // all of them, in order
	sessions []Session // of those that are to be submitted
}

func (g *group) add(p pending, s Session) {
	g.entries = append(g.entries, p)
	if p.submitted {
		g.sessions = append(g.sessions, s)
	}
}

// clear begins another group.
func (g *group) clear() {
	clear(g.entries)
	clear(g.sessions)
	g.entries, g.sessions = g.entries[:0], g.sessions[:0]
}
