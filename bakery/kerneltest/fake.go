package kerneltest

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"lqosd/bakery/tc"
)

// Fake is a kernel in memory. It is safe for concurrent use: somebody else may meddle
// between two ops of an Apply, as between two messages to the kernel.
type Fake struct {
	mu        sync.Mutex
	boots     int
	lastIndex int
	lastMajor uint16
	links     map[string]*wire
	lacks     map[string]bool // kinds
	faults    faults
	record    record
	watchers  map[*watcher]struct{}
	muted     bool
	planes    []*Dataplane
}

// New is a Fake with these links, and nothing on them.
func New(links ...Link) *Fake {
	f := &Fake{
		boots: 1, lastMajor: 0x8000, links: map[string]*wire{}, lacks: map[string]bool{},
		watchers: map[*watcher]struct{}{},
	}
	for _, l := range links {
		f.addLink(l)
	}
	return f
}

// Reboot starts the kernel again: another Identity, the same links with nothing on them.
// Whoever watches goes on, and is told that any link can have changed.
func (f *Fake) Reboot() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.boots++
	f.lastIndex, f.lastMajor = 0, 0x8000
	for _, w := range maps.Clone(f.links) {
		f.addLink(w.Link)
	}
	f.notify("")
}

// Lack takes qdisc kinds away from the kernel, as if their modules were missing.
func (f *Fake) Lack(kinds ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, kind := range kinds {
		f.lacks[kind] = true
	}
}

// Host is that of a current 64-bit Linux.
func (f *Fake) Host() tc.Host { return tc.Host{} }

// Identity is another text after each Reboot.
func (f *Fake) Identity() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("fake boot %d", f.boots)
}

// Observe is what is on the links that are there.
func (f *Fake) Observe(ctx context.Context, links []string, _ map[string]*tc.State) (map[string]tc.Observed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.record.counts.Observes++
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := f.faults.observe(); err != nil {
		return nil, err
	}
	observed := make(map[string]tc.Observed, len(links))
	for _, name := range links {
		if w := f.links[name]; w != nil {
			observed[name] = tc.Observed{
				Index: w.index, TxQueues: w.TxQueues, State: w.state.Clone(),
				LinkInfo: tc.LinkInfo{MTU: w.MTU, TxQueueLen: w.TxQueueLen},
			}
		}
	}
	for _, d := range f.planes {
		d.guard.observed(d, observed, links)
	}
	return observed, nil
}

// State is what is on a link, for tests that don't want to count as an Observe; empty for
// a link that isn't there.
func (f *Fake) State(link string) *tc.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w := f.links[link]; w != nil {
		return w.state.Clone()
	}
	return new(tc.State)
}
