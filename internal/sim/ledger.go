package sim

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// submission is what a client sent, and what it was told.
type submission struct {
	id       int32
	key      string
	commands []bakery.Command
	outcomes []bakery.Outcome // nil: it was told nothing
	over     bool             // nothing more will come of it
}

// ledger is what the clients know.
type ledger struct {
	mu        sync.Mutex
	all       []*submission // by id, from 1
	unchecked []*submission // answered, but nobody compared that with the log
	waiting   int
}

func (l *ledger) add(key string, commands []bakery.Command) *submission {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &submission{id: int32(len(l.all) + 1), key: key, commands: commands}
	l.all = append(l.all, s)
	l.waiting++
	return s
}

func (l *ledger) answer(s *submission, outcomes []bakery.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.over {
		return
	}
	s.outcomes, s.over = outcomes, true
	l.waiting--
	l.unchecked = append(l.unchecked, s)
}

// giveUp waits no longer for an answer.
func (l *ledger) giveUp(s *submission) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.over {
		s.over = true
		l.waiting--
	}
}

// bury gives up the answers that a dead daemon owes.
func (l *ledger) bury() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = 0
	for _, s := range l.all {
		s.over = true
	}
}

func (l *ledger) outstanding() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

// submit hands a submission in, and doesn't wait for the answer but a moment: at each only one
// comes.
func (w *world) submit(key string, commands ...bakery.Command) *submission {
	s := w.ledger.add(key, commands)
	w.commands += len(commands)
	w.trace.add("client", "%d%s: %s", s.id, keyed(key), brief(commands))
	l := w.life
	ticket, err := l.h.Submit(l.mortal, bakery.Submission{Sender: bakery.Sender{PID: s.id}, Commands: commands, Key: key})
	if err != nil {
		w.trace.add("client", "%d isn't taken", s.id)
		w.ledger.giveUp(s)
		w.sleep(0)
		return s
	}
	go func() {
		out := ticket.Wait()
		if l.dead.Load() {
			return
		}
		w.trace.addNth("answer", int(s.id), told(out))
		w.ledger.answer(s, out)
	}()
	w.sleep(0)
	return s
}

func keyed(key string) string {
	if key == "" {
		return ""
	}
	return " key " + key
}

func brief(commands []bakery.Command) string {
	if len(commands) > 3 {
		return fmt.Sprintf("%d commands, %v …", len(commands), commands[0].Kind())
	}
	var list []string
	for _, c := range commands {
		list = append(list, fmt.Sprintf("%v %s", c.Kind(), describe(c)))
	}
	return fmt.Sprint(list)
}

// told is what outcomes say.
func told(outcomes []bakery.Outcome) string {
	var list []string
	for _, o := range outcomes {
		switch {
		case o.Duplicate:
			list = append(list, fmt.Sprintf("%d again", o.Seq))
		case o.Err == nil:
			list = append(list, fmt.Sprint(o.Seq))
		case errors.Is(o.Err, eventlog.ErrUnknownOutcome):
			list = append(list, fmt.Sprintf("%d?", o.Seq))
		case errors.Is(o.Err, bakery.ErrLogUnavailable):
			list = append(list, "unavailable")
		default:
			list = append(list, "refused")
		}
	}
	if n := len(list); n > 6 {
		return fmt.Sprintf("%v … %s", list[:6], list[n-1])
	}
	return fmt.Sprint(list)
}

// checkAnswers compares what clients were told with what is durable.
func (w *world) checkAnswers() {
	w.ledger.mu.Lock()
	list := w.ledger.unchecked
	w.ledger.unchecked = nil
	w.ledger.mu.Unlock()
	for _, s := range list {
		if err := w.checkAnswer(s); err != nil {
			w.broke("submission %d was told %s: %v", s.id, told(s.outcomes), err)
		}
	}
	if n := len(w.archive.records); n > w.checked {
		for _, r := range w.archive.records[w.checked:] {
			s := w.ledger.all[r.Sender.PID-1]
			if s.outcomes != nil && s.refused() {
				w.broke("record %d is of submission %d, which was told %s", r.Seq, s.id, told(s.outcomes))
			}
			if first := w.first[s.key]; s.key != "" && first != 0 && first != s.id {
				w.broke("record %d is of submission %d, whose key %s submission %d had", r.Seq, s.id, s.key, first)
			}
			w.first[s.key] = s.id
		}
		w.checked = n
	}
}

// refused reports a submission of which nothing can be in the log.
func (s *submission) refused() bool {
	return !slices.ContainsFunc(s.outcomes, func(o bakery.Outcome) bool {
		return o.Err == nil && !o.Duplicate || errors.Is(o.Err, eventlog.ErrUnknownOutcome)
	})
}

func (w *world) checkAnswer(s *submission) error {
	has := w.archive.of[s.id]
	var durable, unknown []eventlog.Seq
	for i, o := range s.outcomes {
		switch {
		case o.Duplicate && o.Err == nil:
			first, known := w.archive.keys[s.key]
			if !known || i >= len(w.archive.of[first]) || w.archive.of[first][i] != o.Seq {
				return fmt.Errorf("key %s isn't at record %d", s.key, o.Seq)
			}
		case o.Err == nil:
			durable = append(durable, o.Seq)
			if err := w.archive.holds(o.Seq, s.commands[i]); err != nil {
				return err
			}
		case errors.Is(o.Err, eventlog.ErrUnknownOutcome):
			unknown = append(unknown, o.Seq)
		}
	}
	if slices.Equal(has, durable) {
		return nil
	}
	if len(durable) == 0 && slices.Equal(has, unknown) {
		return nil
	}
	return fmt.Errorf("its records are %v", has)
}

// holds wants a command at a Seq.
func (a *archive) holds(seq eventlog.Seq, c bakery.Command) error {
	if seq < 1 || seq > a.last() {
		return fmt.Errorf("record %d isn't durable: the last one is %d", seq, a.last())
	}
	if got := a.records[seq-1].Command; got.Kind() != c.Kind() {
		return fmt.Errorf("record %d is a %v, not a %v", seq, got.Kind(), c.Kind())
	}
	return nil
}
