package bakery

import (
	"cmp"
	"time"

	"lqosd/eventlog"
)

// Problem is something that the kernel doesn't do, and that is tried again.
type Problem struct {
	Link   string       `json:"link"`
	Object string       `json:"object"`         // "class 1:5"; "link eth0"; "line" for an opaque one
	Name   string       `json:"name,omitempty"` // of the site or circuit
	Op     string       `json:"op,omitempty"`   // as a tc line
	Error  string       `json:"error"`          // with the kernel's own words
	Seq    eventlog.Seq `json:"seq,omitempty"`  // the record that asked for it; 0 if none can be named
	Since  time.Time    `json:"since"`
	Tried  int          `json:"tried"` // how often
	Next   time.Time    `json:"next"`  // when it is tried again

	at      key
	follows bool // it is refused because what it sits in is
}

// The pauses between tries of what failed grow from the first to the second.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
	lastReread = 500 * time.Millisecond // of links that can't be read
)

// problems holds what failed, by object.
type problems map[key]Problem

// add notes a failure, and when to try again.
func (p problems) add(now time.Time, one Problem) {
	one.Since, one.Tried = now, 1
	if old, again := p[one.at]; again {
		one.Since, one.Tried = old.Since, old.Tried+1
	}
	longest := lastRetry
	if one.at == readKey {
		longest = lastReread
	}
	one.Next = now.Add(min(firstRetry<<min(one.Tried-1, 20), longest))
	p[one.at] = one
}

// waits reports whether an object failed and isn't to be tried yet.
func (p problems) waits(k key, now time.Time) bool {
	one, ok := p[k]
	return ok && one.Next.After(now)
}

// waitFor makes an object be tried when another one is.
func (p problems) waitFor(k, other key) {
	one := p[k]
	one.Next = p[other].Next
	p[k] = one
}

// hurry makes an object be tried again at once.
func (p problems) hurry(k key, now time.Time) {
	if one, ok := p[k]; ok {
		one.Next = now
		p[k] = one
	}
}

// keepOnly forgets the problems of a link whose objects don't differ any more.
func (p problems) keepOnly(link string, differs func(key) bool) {
	for k := range p {
		if k.link == link && k.object() && !differs(k) {
			delete(p, k)
		}
	}
}

// compareProblems puts causes before what follows from them.
func compareProblems(a, b Problem) int {
	return cmp.Or(compareBool(a.follows, b.follows), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Link, b.Link), cmp.Compare(a.at.at, b.at.at), cmp.Compare(a.Op, b.Op))
}

// next is the earliest time at which something is tried again; zero if there is none.
func (p problems) next() time.Time {
	var first time.Time
	for _, one := range p {
		if one.Next.IsZero() { // it ends by itself
			continue
		}
		if first.IsZero() || one.Next.Before(first) {
			first = one.Next
		}
	}
	return first
}

// on reports a link on an object of which something fails.
func (p problems) on(link string) bool {
	for k := range p {
		if k.link == link && k.object() {
			return true
		}
	}
	return false
}

// forgetLink forgets the problems of what is on a link.
func (p problems) forgetLink(link string) {
	for k := range p {
		if k.link == link && k != linkKey(link) {
			delete(p, k)
		}
	}
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
