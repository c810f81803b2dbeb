package kerneltest

import (
	"context"
	"sync"

	"lqosd/bakery/tc"
)

// fault is something that goes wrong with ops.
type fault struct {
	match func(tc.Op) bool // nil matches all
	err   error
	lost  bool // the op is done, the answer gets lost
	times int  // how often it still happens; negative: always
}

// faults are what is to go wrong. All but the hooks are guarded by the Fake's mutex.
type faults struct {
	ops           []*fault
	observeErr    error
	observeTimes  int
	mu            sync.Mutex
	before        func(tc.Op)
	execute       func(line string) error
	blocked, gate chan struct{}
}

// FailNext makes the next op fail with err, and does nothing of it.
func (f *Fake) FailNext(err error) { f.FailWhen(nil, err, 1) }

// FailWhen makes ops that match fail with err, times times, and always if times is
// negative. The kernel does nothing of them. Of several faults that match, the one that was
// asked for first happens. match may be nil, for all ops, and must not call the Fake.
func (f *Fake) FailWhen(match func(tc.Op) bool, err error, times int) {
	f.addFault(&fault{match: match, err: err, times: times})
}

// LoseAcks does ops that match, but the answer gets lost: the Result is
// tc.ErrUnknownOutcome, whatever the kernel said. match and times are as in FailWhen.
func (f *Fake) LoseAcks(match func(tc.Op) bool, times int) {
	f.addFault(&fault{match: match, lost: true, times: times})
}

func (f *Fake) addFault(fault *fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults.ops = append(f.faults.ops, fault)
}

// FailObserve makes the next Observes fail, times of them, as if their dumps had been
// interrupted again and again; with negative times all.
func (f *Fake) FailObserve(err error, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults.observeErr, f.faults.observeTimes = err, times
}

// Heal takes all faults back.
func (f *Fake) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults.ops, f.faults.observeErr, f.faults.observeTimes = nil, nil, 0
}

// Before calls hook ahead of every op of an Apply; nil ends that. The hook may do anything
// with the Fake: meddle, remove the link, cancel the context of the Apply, whose op is then
// not done, or wait.
func (f *Fake) Before(hook func(op tc.Op)) {
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	f.faults.before = hook
}

// Block makes Apply wait ahead of its next op. blocked is closed when it does; release lets
// it go on, and may be called more than once. Apply goes on, too, when its context ends.
func (f *Fake) Block() (blocked <-chan struct{}, release func()) {
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	b, gate := make(chan struct{}), make(chan struct{})
	f.faults.blocked, f.faults.gate = b, gate
	return b, sync.OnceFunc(func() { close(gate) })
}

// pass waits at the gate and calls the hook, without any lock.
func (f *faults) pass(ctx context.Context, op tc.Op) {
	f.mu.Lock()
	before, gate := f.before, f.gate
	if gate != nil && f.blocked != nil {
		close(f.blocked)
		f.blocked = nil
	}
	f.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	if before != nil {
		before(op)
	}
}

// take is the fault that op meets, nil for none.
func (f *faults) take(op tc.Op) *fault {
	for _, fault := range f.ops {
		if fault.times != 0 && (fault.match == nil || fault.match(op)) {
			fault.times--
			return fault
		}
	}
	return nil
}

func (f *faults) observe() error {
	if f.observeTimes == 0 {
		return nil
	}
	f.observeTimes--
	return f.observeErr
}
