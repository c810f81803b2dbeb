package bakery

import (
	"errors"

	"lqosd/eventlog"
)

// Submission is what one sender wants appended together: one transaction.
type Submission struct {
	Sender   Sender
	Commands []Command
	// Key makes a retry harmless: a submission whose Key the log has seen is not
	// appended again, and is answered with the Seqs of the first time. With a Key
	// it is all or nothing: one refused command refuses the others too.
	Key string
	// Opaque lets the lines of the sender be kept as opaque, which tc(8) runs word for
	// word. Without it such a line is refused like one that nobody understands.
	Opaque bool
}

// Outcome is what became of one command.
type Outcome struct {
	// Seq is the command's record: durable when Err is nil. With
	// eventlog.ErrUnknownOutcome it is the Seq that the record has if it is there.
	Seq eventlog.Seq
	// Err is why the command isn't in the log.
	Err error
	// Refused are the lines of an ExecuteTCCommands with Force that were left out.
	Refused []LineError
	// Duplicate: the Key was known, nothing was appended.
	Duplicate bool
}

// ErrStopped says that the bakery has ended.
var ErrStopped = errors.New("the bakery has stopped")

// ErrLogUnavailable says that the log can't take commands now: nothing was
// appended, and a later try may succeed.
var ErrLogUnavailable = errors.New("the event log is unavailable")

var errOtherRefused = errors.New("not appended: another command of the same keyed session was refused")

// Ticket is a Submission on its way. Tickets are answered in the order of their
// submission, those that became durable meanwhile together.
type Ticket struct {
	sub      Submission
	outcomes []Outcome
	ready    chan struct{}

	// Set by the folder, read by the acker.
	pending  *eventlog.Pending // nil: nothing was appended
	accepted []accepted        // what was appended, in log order
	read     *Tree             // a reader's clone
	roles    Roles             // of the links, for a reader
	err      error             // a reader's failure

	recovered *eventlog.Seq // not a submission: the log was opened again, this is its last Seq

	one struct { // room for what a submission of one command has
		payload  [1][]byte
		accepted [1]accepted
	}
}

// accepted is a command that was appended, as it is logged, with its place in the
// submission.
type accepted struct {
	index   int
	command Command
}

func newTicket(s Submission) *Ticket {
	return &Ticket{sub: s, outcomes: make([]Outcome, len(s.Commands)), ready: make(chan struct{})}
}

// newTickets makes the tickets of several submissions, which share their memory.
func newTickets(list []Submission) []*Ticket {
	commands := 0
	for _, s := range list {
		commands += len(s.Commands)
	}
	all, outcomes, tickets := make([]Ticket, len(list)), make([]Outcome, commands), make([]*Ticket, len(list))
	for i, s := range list {
		n := len(s.Commands)
		all[i] = Ticket{sub: s, outcomes: outcomes[:n:n], ready: make(chan struct{})}
		tickets[i], outcomes = &all[i], outcomes[n:]
	}
	return tickets
}

// Wait blocks until the submission is answered: one Outcome for each command.
func (t *Ticket) Wait() []Outcome {
	<-t.ready
	return t.outcomes
}

// repeat answers with what the first submission of the same key got, once that is
// durable.
func (t *Ticket) repeat(first *eventlog.Pending) {
	t.pending = first
	res := first.Result()
	for i := range t.outcomes {
		t.outcomes[i] = Outcome{Seq: min(res.First+eventlog.Seq(i), res.Last), Duplicate: true}
		t.accepted = append(t.accepted, accepted{index: i})
	}
}

func (t *Ticket) failAll(err error) {
	for i := range t.outcomes {
		if t.outcomes[i].Err == nil {
			t.outcomes[i] = Outcome{Err: err}
		}
	}
}

// settled tells that nothing has to be waited for.
func (t *Ticket) settled() bool {
	if t.pending == nil {
		return true
	}
	select {
	case <-t.pending.Done():
		return true
	default:
		return false
	}
}

// repeated tells that the ticket got what an earlier submission did: it appended nothing itself.
func (t *Ticket) repeated() bool { return len(t.accepted) > 0 && t.accepted[0].command == nil }
