package kerneltest

import (
	"errors"
	"slices"

	"lqosd/bakery/tc"
)

// Write is an op that reached the kernel, and what became of it.
type Write struct {
	Op     tc.Op
	Result tc.Result
}

// String is the op as a tc line. What the kernel refused, and what nobody knows about,
// has a comment that says so: "class delete dev v0 classid 1:1 # HTB class in use. (is in use)".
func (w Write) String() string {
	if w.Result.Err != nil {
		return w.Op.Line() + " # " + w.Result.Err.Error()
	}
	return w.Op.Line()
}

// Counts are how often a Fake was asked since it was made or Reset.
type Counts struct {
	Observes, Applies int
	Ops               int // that reached the kernel
	Failed            int // of those
	Executed          int
}

// record is what the user of a Fake did to it.
type record struct {
	writes   []Write
	executed []string
	counts   Counts
}

func (r *record) add(op tc.Op, result tc.Result) {
	r.writes = append(r.writes, Write{Op: clone(op), Result: result})
	r.counts.Ops++
	if result.Err != nil {
		r.counts.Failed++
	}
}

// clone keeps an op as it was.
func clone(op tc.Op) tc.Op {
	if op.Qdisc != nil {
		q := *op.Qdisc
		op.Qdisc = &q
	}
	if op.Class != nil {
		c := *op.Class
		op.Class = &c
	}
	return op
}

// Writes are the ops of Apply that reached the kernel since the last Reset, as tc lines in
// the order in which they came; see Write.String. What was not tried isn't among them, and
// neither is what somebody else did.
func (f *Fake) Writes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := make([]string, len(f.record.writes))
	for i, w := range f.record.writes {
		lines[i] = w.String()
	}
	return lines
}

// Log is Writes with the ops and results themselves.
func (f *Fake) Log() []Write {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.record.writes)
}

// Executed are the lines of Execute since the last Reset.
func (f *Fake) Executed() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.record.executed)
}

// Counts tells how often the Fake was asked since the last Reset.
func (f *Fake) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.record.counts
}

// Reset forgets what was recorded. The kernel stays as it is, and so do faults.
func (f *Fake) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.record = record{}
}

// Refused reports whether a Result is the kernel's own refusal with these words.
func Refused(r tc.Result, text string) bool {
	var e Errno
	return errors.As(r.Err, &e) && e.Text == text
}
