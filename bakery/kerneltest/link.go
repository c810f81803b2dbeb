package kerneltest

import (
	"lqosd/bakery/tc"
)

// Link is what a test says of a link. Zero numbers mean 4 queues, an MTU of 1500 bytes and
// a queue of 1000 packets.
type Link struct {
	Name       string
	TxQueues   int
	MTU        uint32
	TxQueueLen uint32
}

// wire is a link of the Fake, with what is on it.
type wire struct {
	Link
	index int
	state *tc.State
	host  tc.Host // with this link
	lacks map[string]bool
	next  func() uint16 // the next major that the kernel chooses
	// ingressQueue says that the link has had a clsact or ingress qdisc, and therefore a
	// queue for one: a Delete of none is answered in other words then.
	ingressQueue bool
}

func (l Link) filled() Link {
	if l.TxQueues == 0 {
		l.TxQueues = 4
	}
	if l.MTU == 0 {
		l.MTU = 1500
	}
	if l.TxQueueLen == 0 {
		l.TxQueueLen = 1000
	}
	return l
}

// AddLink brings up a link with nothing on it. One of that name that is there is removed
// first: it has gone and come back, with another Index.
func (f *Fake) AddLink(l Link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addLink(l)
	f.notify(l.Name)
}

func (f *Fake) addLink(l Link) {
	l = l.filled()
	f.lastIndex++
	f.links[l.Name] = &wire{
		Link: l, index: f.lastIndex, state: new(tc.State), lacks: f.lacks, next: f.nextMajor(l.Name),
		host: tc.Host{Links: map[string]tc.LinkInfo{l.Name: {MTU: l.MTU, TxQueueLen: l.TxQueueLen}}},
	}
}

// RemoveLink takes a link away, with all that is on it.
func (f *Fake) RemoveLink(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, there := f.links[name]; there {
		delete(f.links, name)
		f.notify(name)
	}
}

// nextMajor chooses handles like qdisc_alloc_handle (sch_api.c): 8001: and upwards, one
// count for all links, around to 8001: again, without those that the link uses.
func (f *Fake) nextMajor(name string) func() uint16 {
	return func() uint16 {
		for range 0x7FFF {
			f.lastMajor++
			if f.lastMajor < 0x8000 || f.lastMajor == 0xFFFF {
				f.lastMajor = 0x8000
			}
			if !f.links[name].state.HandleInUse(name, f.lastMajor) {
				return f.lastMajor
			}
		}
		return 0
	}
}
