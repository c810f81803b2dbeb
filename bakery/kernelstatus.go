package bakery

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"lqosd/eventlog"
)

// Phase is what the reconciler is doing.
type Phase string

// The phases.
const (
	PhaseStarting Phase = "starting" // the kernel wasn't read yet
	PhaseSettling Phase = "settling" // a reset over a live tree, or removed mappings: waiting for the commands to end
	PhaseApplying Phase = "applying"
	PhaseInSync   Phase = "in sync" // the kernel has what the records ask for
	PhaseDiffers  Phase = "differs" // something failed, or drifted and is only reported
)

// KernelStatus is what the reconciler tells about the kernel. It is never written again.
type KernelStatus struct {
	Phase   Phase          `json:"phase"`
	Applied eventlog.Seq   `json:"applied_seq"` // the records up to it were brought to the kernel; Problems has what it refused
	Links   []KernelLink   `json:"links"`
	Writes  uint64         `json:"writes"`  // ops that the kernel did, since the start
	Reads   uint64         `json:"reads"`   // times that the links were read
	Refused uint64         `json:"refused"` // ops that the kernel didn't do
	Read    time.Time      `json:"last_read"`
	Settles *time.Time     `json:"settles"` // when a reset, or the removal of mappings, is applied if nothing more comes; nil: none waits
	Warned  []KernelNotice `json:"warnings"`

	Steering *SteeringStatus `json:"steering"` // nil: there is no dataplane

	Problems      []Problem `json:"problems"` // at most maxListed
	ProblemsTotal int       `json:"problems_total"`
	Drift         []Drift   `json:"drift"`       // what is open, and the newest of what has ended, oldest first
	DriftOpen     int       `json:"drift_open"`  // how many are open
	DriftTotal    uint64    `json:"drift_total"` // since the start

	all []Problem // also those that Problems has no room for
}

// KernelLink is a link in a KernelStatus.
type KernelLink struct {
	Name    string `json:"name"`
	There   bool   `json:"there"`
	Index   int    `json:"index"`
	Qdiscs  int    `json:"qdiscs"`  // those that the kernel has
	Classes int    `json:"classes"` // of the htb kind
}

// SteeringStatus is the dataplane in a KernelStatus.
type SteeringStatus struct {
	Entries int    `json:"entries"` // those that it has, as far as it is known
	Waiting int    `json:"waiting"` // mapped, but the class isn't there
	Writes  uint64 `json:"writes"`  // entries that were set or dropped, since the start
	Reads   uint64 `json:"reads"`   // times that all of it was read
}

func (s *steering) status() *SteeringStatus {
	if s == nil {
		return nil
	}
	return &SteeringStatus{Entries: len(s.has), Waiting: s.waiting, Writes: s.writes, Reads: s.reads}
}

// KernelNotice is what a kernel said about an op that it did.
type KernelNotice struct {
	Op   string `json:"op"`
	Text string `json:"text"`
}

// maxListed bounds the lists of a KernelStatus.
const maxListed = 100

// listed are the problems in order of their records and objects.
func (p problems) listed() []Problem {
	return slices.SortedFunc(maps.Values(p), compareProblems)
}

// Kernel is the newest status; nil in file mode.
func (h *Handle) Kernel() *KernelStatus {
	status, _ := h.kernel.get()
	return status
}

// WaitApplied waits until the records up to seq were brought to the kernel. It is an
// error when the kernel keeps refusing something that a record from since to seq asked
// for: then it tells what.
func (h *Handle) WaitApplied(ctx context.Context, since, seq eventlog.Seq) error {
	h.wakeApplier() // a record that shapes nothing wakes nobody
	for {
		s, next := h.kernel.get()
		if s != nil && s.Applied >= seq {
			pending, err := s.refusal(since, seq)
			if err != nil || !pending {
				return err
			}
		}
		select {
		case <-next:
		case <-h.ended:
			return ErrStopped
		case <-ctx.Done():
			return fmt.Errorf("record %d is durable, but not applied: %s: %w", seq, s.waitsFor(), ctx.Err())
		}
	}
}

// refusal tells whether something of the records from since to seq is still tried, or
// was refused more than once.
func (s *KernelStatus) refusal(since, seq eventlog.Seq) (pending bool, err error) {
	var first *Problem
	n := 0
	for i := range s.all {
		p := &s.all[i]
		if p.Next.IsZero() || p.Seq != 0 && (p.Seq < since || p.Seq > seq) {
			continue
		}
		if n++; p.Tried < 2 || p.at == readKey {
			pending = true
		} else if first == nil {
			first = p
		}
	}
	if pending || first == nil {
		return pending, nil
	}
	err = fmt.Errorf("record %d is durable, but not all is applied: %s: %s", seq, first.Object, first.Error)
	if more := n - 1; more > 0 {
		err = fmt.Errorf("%w (and %d more)", err, more)
	}
	return false, err
}

// waitsFor says why a wait takes long.
func (s *KernelStatus) waitsFor() string {
	switch {
	case s == nil:
		return "the kernel wasn't read yet"
	case s.Phase == PhaseSettling:
		return "a reset, or the removal of mappings, waits for the commands to end"
	case len(s.Problems) > 0:
		return s.Problems[0].Error
	}
	return fmt.Sprintf("the kernel has the records up to %d", s.Applied)
}
