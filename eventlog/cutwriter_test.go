package eventlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"lqosd/internal/powercut"
)

// cutLog is where the writers of the power cut tests have their log, below the root of the disk.
const cutLog = "state/eventlog"

// cutData is the record with that seq of every log in these tests.
func cutData(s Seq) []byte {
	dice := rand.New(rand.NewPCG(uint64(s), 1))
	b := make([]byte, 30+dice.IntN(200)+int(s%61/60)*9000)
	for i := range b {
		b[i] = byte(dice.Uint32())
	}
	return fmt.Appendf(b, " %d", s)
}

// cutKey is the key of the transaction that begins with that seq; every third seq gives one.
func cutKey(first Seq) string {
	if first%3 != 0 {
		return ""
	}
	return fmt.Sprint("key ", first)
}

func cutState(at Seq) string { return fmt.Sprint("state through ", at) }

// cutWriter writes a log on a disk that is going to lose its power, and notes what it tells the world.
type cutWriter struct {
	root   string
	note   *os.File
	log    *Log
	faults faults
	last   Seq    // enqueued
	mark   uint64 // of the last roll
	early  bool   // acks what isn't durable: a negative control
}

// cutWriters are the ways to write; each is a role of a child process, and so is each acking early, "NAME, early".
var cutWriters = map[string]func(*cutWriter) error{
	"creating":     func(w *cutWriter) error { return w.singles(3) },
	"single":       func(w *cutWriter) error { return w.singles(60) },
	"batched":      (*cutWriter).batched,
	"big":          (*cutWriter).big,
	"big, rolling": (*cutWriter).bigRolling,
	"pipelined":    (*cutWriter).pipelined,
	"rolling":      (*cutWriter).rolling,
	"torn roll":    (*cutWriter).tornRolls,
	"pruning":      (*cutWriter).pruning,
	"copying":      (*cutWriter).copying,
}

func init() {
	for name, write := range cutWriters {
		childRoles[name] = func(root string) error { return runCutWriter(root, false, write) }
		childRoles[name+", early"] = func(root string) error { return runCutWriter(root, true, write) }
	}
}

func runCutWriter(root string, early bool, write func(*cutWriter) error) error {
	note, err := os.OpenFile(filepath.Join(root, powercut.NoteName), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	w := &cutWriter{root: root, note: note, early: early, faults: faults{room: smallRoom}}
	if err := w.open(); err != nil {
		return err
	}
	return errors.Join(write(w), w.log.Close(), note.Close())
}

func (w *cutWriter) open() (err error) {
	w.log, err = Open(filepath.Join(w.root, cutLog), Options{SegmentBytes: 1 << 20, faults: &w.faults})
	return err
}

func (w *cutWriter) say(format string, args ...any) error {
	_, err := fmt.Fprintf(w.note, format, args...)
	return err
}

// enqueue sends a transaction of n records.
func (w *cutWriter) enqueue(n int) (*Pending, error) {
	tx := Tx{Key: cutKey(w.last + 1)}
	for range n {
		w.last++
		tx.Records = append(tx.Records, cutData(w.last))
	}
	p, err := w.log.Enqueue(tx)
	if err == nil && w.early {
		err = w.ack(p)
	}
	return p, err
}

func (w *cutWriter) ack(p *Pending) error {
	return w.say("acked %d %d", p.Result().First, p.Result().Last)
}

// settle waits for p and acks it.
func (w *cutWriter) settle(p *Pending) error {
	if _, err := p.Wait(); err != nil || w.early {
		return err
	}
	return w.ack(p)
}

func (w *cutWriter) append(n int) error {
	if err := w.say("sent %d", w.last+Seq(n)); err != nil {
		return err
	}
	p, err := w.enqueue(n)
	if err != nil {
		return err
	}
	return w.settle(p)
}

func (w *cutWriter) singles(n int) error {
	for range n {
		if err := w.append(1); err != nil {
			return err
		}
	}
	return nil
}

func (w *cutWriter) batched() error {
	for i := range 20 {
		if err := w.append(5 + i*i/3); err != nil {
			return err
		}
	}
	return nil
}

func (w *cutWriter) pipelined() error {
	for range 10 {
		if err := w.say("sent %d", w.last+60); err != nil {
			return err
		}
		var all []*Pending
		for i := range 30 {
			p, err := w.enqueue(1 + 2*(i%2))
			if err != nil {
				return err
			}
			all = append(all, p)
		}
		for _, p := range all {
			if err := w.settle(p); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *cutWriter) roll() error {
	w.mark++
	p, err := w.log.Roll(textSnapshot(w.mark, cutState(w.last)))
	if err != nil {
		return err
	}
	if _, err := p.Wait(); err != nil {
		return err
	}
	return w.say("rolled %d", w.last)
}

func (w *cutWriter) rolling() error {
	for range 8 {
		if err := errors.Join(w.singles(4), w.append(40), w.roll(), w.singles(1)); err != nil {
			return err
		}
	}
	return nil
}

// tornRolls interrupts rolls at each step, and opens the log again.
func (w *cutWriter) tornRolls() error {
	for _, at := range []string{"make", "made", "named", "sealed"} {
		if err := w.singles(4); err != nil {
			return err
		}
		w.faults.roll = func(step string) error {
			if step == at {
				return fmt.Errorf("interrupted at %q", step)
			}
			return nil
		}
		if w.roll() == nil {
			return fmt.Errorf("a roll came through that was interrupted at %q", at)
		}
		w.faults.roll = nil
		_ = w.log.Close() // it tells of the failure again
		if err := errors.Join(w.open(), w.singles(3), w.roll()); err != nil {
			return err
		}
	}
	return nil
}

// pruning drops old segments, several at once.
func (w *cutWriter) pruning() error {
	for range 4 {
		for range 3 {
			if err := errors.Join(w.singles(3), w.roll()); err != nil {
				return err
			}
		}
		p := Policy{MinMark: w.mark - 1, DryRun: true}
		left, err := w.log.Prune(p)
		if err != nil {
			return err
		}
		if len(left.Segments) == 0 {
			return errors.New("nothing to prune")
		}
		p.DryRun = false
		if err := w.say("pruning %d", left.First); err != nil {
			return err
		}
		if _, err := w.log.Prune(p); err != nil {
			return err
		}
	}
	return nil
}

// copying hands out copies while it appends.
func (w *cutWriter) copying() error {
	for i := range 4 {
		if err := errors.Join(w.singles(3), w.roll(), w.singles(2)); err != nil {
			return err
		}
		if err := w.say("copying %d %d", i, w.last); err != nil {
			return err
		}
		done := make(chan error, 1)
		go func() { done <- w.handOut(i) }()
		if err := errors.Join(w.singles(4), <-done); err != nil {
			return err
		}
	}
	return nil
}

// handOut makes a copy, and says how far it goes as soon as there is somebody who has it.
func (w *cutWriter) handOut(i int) error {
	dir := filepath.Join(w.root, fmt.Sprint("copy-", i))
	if err := w.log.CopyTo(dir); err != nil {
		return err
	}
	r, err := OpenReader(dir)
	if err != nil {
		return err
	}
	return errors.Join(w.say("copied %d %d", i, r.Last()), r.Close())
}

// told is what the world was told before the power went.
type told struct {
	sent, acked Seq
	firsts      []Seq           // of acked transactions
	lasts       []Seq           // the same
	pruned      Seq             // up to where the log may begin
	rolled      Seq             // the last seq that a finished roll put behind
	copies      map[string]Seq  // begun, with what was acked then
	copied      map[string]bool // done
	handed      Seq             // the last of them ends there
}

// listen reads the notes among events.
func listen(events []powercut.Event) (told, error) {
	t := told{pruned: 1, copies: map[string]Seq{}, copied: map[string]bool{}}
	for _, e := range events {
		if e.Kind != powercut.Note {
			continue
		}
		var word, a string
		var n, m Seq
		_, _ = fmt.Sscan(e.Text, &word, &n, &m) // as many as there are
		a = fmt.Sprint(n)
		switch word {
		case "sent":
			t.sent = n
		case "acked":
			t.acked = max(t.acked, m)
			t.firsts, t.lasts = append(t.firsts, n), append(t.lasts, m)
		case "pruning":
			t.pruned = n
		case "rolled":
			t.rolled = n
		case "copying":
			t.copies[a] = m
		case "copied":
			t.copied[a], t.handed = true, max(t.handed, m)
		default:
			return t, fmt.Errorf("a note says %q", e.Text)
		}
	}
	return t, nil
}

// check opens what is left of the disk as the next daemon would, and compares it with what was told.
func (t told) check(root string) error {
	dir := filepath.Join(root, cutLog)
	l, err := Open(dir, Options{NoSync: true})
	if err != nil {
		return err
	}
	if err := errors.Join(t.checkLog(l), l.Close(), checkVerify(dir)); err != nil {
		return err
	}
	return t.checkCopies(root)
}

func (t told) checkLog(l *Log) error {
	last, err := t.checkRecords(l.Records(0), l.FirstSeq())
	if err != nil {
		return err
	}
	switch {
	case last != l.LastSeq():
		return fmt.Errorf("records end at %d, the log at %d", last, l.LastSeq())
	case last < t.acked:
		return fmt.Errorf("acked through %d, the log ends at %d", t.acked, last)
	case last > t.sent:
		return fmt.Errorf("sent through %d, the log ends at %d", t.sent, last)
	case last < t.handed:
		return fmt.Errorf("a copy was handed out that ends at %d, the log ends at %d", t.handed, last)
	case last < t.rolled:
		return fmt.Errorf("rolled at %d, the log ends at %d", t.rolled, last)
	}
	for i, first := range t.firsts[max(0, len(t.firsts)-20):] {
		i += max(0, len(t.firsts)-20)
		if key := cutKey(first); key != "" {
			p, ok := l.Known(key)
			if !ok || p.Result().First != first || p.Result().Last != t.lasts[i] {
				return fmt.Errorf("key %q: %v", key, p)
			}
		}
	}
	state, at, err := l.Snapshot()
	if err != nil || at < t.rolled || at > 0 && string(state) != cutState(at) {
		return fmt.Errorf("snapshot %q at %d, the last roll was at %d: %w", state, at, t.rolled, err)
	}
	// It goes on.
	if _, err := l.Append(context.Background(), Tx{Records: [][]byte{cutData(last + 1)}}); err != nil {
		return err
	}
	return nil
}

// checkRecords wants the records of a log that begins with first: those sent, without a gap.
func (t told) checkRecords(records func(func(Record, error) bool), first Seq) (last Seq, err error) {
	if first > t.pruned {
		return 0, fmt.Errorf("the log begins with %d, %d was not to be pruned", first, t.pruned)
	}
	last = first - 1
	for r, err := range records {
		if err != nil {
			return last, err
		}
		if r.Seq != last+1 || !slices.Equal(r.Data, cutData(r.Seq)) {
			return last, fmt.Errorf("record %d after %d is not what was sent", r.Seq, last)
		}
		last++
	}
	return last, nil
}

func checkVerify(dir string) error {
	r, err := Verify(context.Background(), dir)
	if err == nil && !r.Clean() {
		err = fmt.Errorf("verify: %v", r.Problems)
	}
	return err
}

// checkCopies wants every copy that has its name to be whole, and those to be there that were reported.
func (t told) checkCopies(root string) error {
	for name, acked := range t.copies {
		dir := filepath.Join(root, "copy-"+name)
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) && !t.copied[name] {
			continue
		}
		r, err := OpenReader(dir)
		if err != nil {
			return err
		}
		last, err := t.checkRecords(r.Records(0), r.First())
		if err == nil && last < acked {
			err = fmt.Errorf("it ends at %d, %d was acked", last, acked)
		}
		if err := errors.Join(err, r.Close(), checkVerify(dir)); err != nil {
			return fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return nil
}
