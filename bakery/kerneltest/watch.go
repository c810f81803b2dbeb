package kerneltest

import (
	"context"
	"slices"
)

// watcher is a Watch that runs. Its fields are guarded by the Fake's mutex.
type watcher struct {
	waiting []string      // links, in the order in which they changed
	err     error         // ends it
	wake    chan struct{} // capacity 1: full means that there is something to see
}

// Watch tells of what Meddle, AddLink, RemoveLink, Reboot and Overrun do, and never of
// Apply and Execute. A link that changed twice before changed returned is named once.
func (f *Fake) Watch(ctx context.Context, changed func(link string)) error {
	w := &watcher{waiting: []string{""}, wake: make(chan struct{}, 1)}
	w.wake <- struct{}{}
	f.mu.Lock()
	f.watchers[w] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, w)
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
		f.mu.Lock()
		links, err := w.waiting, w.err
		w.waiting = nil
		f.mu.Unlock()
		for _, link := range links {
			changed(link)
		}
		if err != nil {
			return err
		}
	}
}

// Watching is how many Watches run.
func (f *Fake) Watching() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.watchers)
}

// Mute loses all notifications until Unmute, and nobody is told that they were lost: what
// only a periodic compare finds.
func (f *Fake) Mute() { f.mute(true) }

// Unmute lets notifications through again.
func (f *Fake) Unmute() { f.mute(false) }

func (f *Fake) mute(muted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.muted = muted
}

// Overrun tells all Watches that messages were lost: changed(""). Mute doesn't hold it.
func (f *Fake) Overrun() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		w.tell("")
	}
}

// FailWatch ends all Watches that run with err.
func (f *Fake) FailWatch(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watchers {
		w.err = err
		w.signal()
	}
}

// notify tells all Watches of a change, unless they are muted. The mutex is held.
func (f *Fake) notify(link string) {
	if f.muted {
		return
	}
	for w := range f.watchers {
		w.tell(link)
	}
}

func (w *watcher) tell(link string) {
	if !slices.Contains(w.waiting, link) {
		w.waiting = append(w.waiting, link)
	}
	w.signal()
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
