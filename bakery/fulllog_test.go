package bakery_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/internal/testenv"
)

// TestTrialFullLog lets the file of the log come to its limit, again and again. What isn't durable is not acknowledged, what is refused isn't
// there, an unknown outcome is decided by its Seq, and with room again the log goes on in the same bakery.
func TestTrialFullLog(t *testing.T) {
	f := newFullLog(t, 128<<10)
	f.fill()
	for _, limit := range []int64{256 << 10, 1 << 20} {
		f.limit.Store(limit)
		f.comesBack()
		f.fill()
	}
	f.limit.Store(0)
	f.comesBack()
	for range 20 {
		f.send(1 + f.dice.IntN(3))
	}
	f.stop()
	if why := f.compare(false); why != "" {
		t.Error(why)
	}
	t.Logf("figure: full log, three times | %d acked, %d refused, %d unknown, of which %d were there | 0 faults",
		len(f.acked), len(f.refused), len(f.unknown), f.there)
	if why := f.compare(true); why == "" {
		t.Error("the control: unknown outcomes taken for Acks weren't noticed")
	}
	t.Logf("figure: full log, control: unknown outcomes taken for Acks | %d outcomes | found out", len(f.unknown))
	r, err := eventlog.Verify(t.Context(), f.dir)
	if err != nil || !r.Clean() {
		t.Errorf("verify: %v %v", r.Problems, err)
	}
}

// answered is a command, by the minor of its class, and the Seq of its answer.
type answered struct {
	minor uint32
	seq   eventlog.Seq
}

// fullLog is a bakery on a log whose file may not grow beyond a limit.
type fullLog struct {
	*rig
	dice                    *rand.Rand
	limit                   atomic.Int64
	minor                   uint32
	acked, refused, unknown []answered
	there                   int // of the unknown
}

func newFullLog(t *testing.T, limit int64) *fullLog {
	f := &fullLog{rig: newRig(t, twoLinks), dice: testenv.Dice(t), minor: 2}
	f.stop()
	f.limit.Store(limit)
	f.dir = t.TempDir()
	f.o.OpenLog = func() (bakery.Log, error) {
		return eventlog.Open(f.dir, eventlog.Options{MaxSize: int(f.limit.Load()), SegmentBytes: 64 << 20})
	}
	f.start()
	f.must(bakery.MqSetup{})
	return f
}

// submitSession hands in n commands that compress badly.
func (f *fullLog) submitSession(n int) (*bakery.Ticket, []uint32) {
	f.t.Helper()
	var commands []bakery.Command
	var minors []uint32
	for range n {
		f.minor++
		var comment strings.Builder
		for comment.Len() < 2000 {
			fmt.Fprintf(&comment, "%016x", f.dice.Uint64())
		}
		text := comment.String()
		commands = append(commands, bakery.AddCircuitHTBClass{Link: "eth1", Parent: "1:1", ClassID: fmt.Sprintf("%x", f.minor),
			RateMbps: 1, CeilMbps: 1, CircuitHash: int64(f.minor), Comment: &text, R2Q: 10})
		minors = append(minors, f.minor)
	}
	ticket, err := f.h.Submit(f.t.Context(), bakery.Submission{Commands: commands})
	if err != nil {
		f.t.Fatal(err)
	}
	return ticket, minors
}

// file notes what came of a session.
func (f *fullLog) file(ticket *bakery.Ticket, minors []uint32) (acked bool) {
	for i, out := range ticket.Wait() {
		a := answered{minors[i], out.Seq}
		switch {
		case out.Err == nil:
			f.acked = append(f.acked, a)
			acked = true
		case errors.Is(out.Err, eventlog.ErrUnknownOutcome):
			f.unknown = append(f.unknown, a)
		default:
			f.refused = append(f.refused, a)
		}
	}
	return acked
}

func (f *fullLog) send(n int) (acked bool) { return f.file(f.submitSession(n)) }

// fill sends, alone and several sessions at once, until the log has been full a few times.
func (f *fullLog) fill() {
	f.t.Helper()
	before := len(f.unknown)
	for len(f.unknown) < before+5 {
		if f.minor > 5000 {
			f.t.Fatalf("the log isn't full: %d acked, %d refused, %d unknown", len(f.acked), len(f.refused), len(f.unknown))
		}
		f.send(1 + f.dice.IntN(3))
		var tickets []*bakery.Ticket
		var all [][]uint32
		for range 4 {
			ticket, minors := f.submitSession(1)
			tickets, all = append(tickets, ticket), append(all, minors)
		}
		for i, ticket := range tickets {
			f.file(ticket, all[i])
		}
	}
}

// comesBack sends until something is acknowledged.
func (f *fullLog) comesBack() {
	f.t.Helper()
	for range 50 {
		if f.send(1) {
			return
		}
	}
	f.t.Fatal("with room again nothing is acknowledged")
}

// compare holds the log against what was said; trusting takes unknown outcomes for Acks.
func (f *fullLog) compare(trusting bool) string {
	f.t.Helper()
	log, err := openLog(f.dir)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	at, minors := map[eventlog.Seq]uint32{}, map[uint32]bool{}
	for raw, err := range log.Records(1) {
		if err != nil {
			f.t.Fatal(err)
		}
		r, err := bakery.DecodeRecord(raw.Seq, raw.Data)
		if err != nil {
			f.t.Fatal(err)
		}
		if c, ok := r.Command.(bakery.AddCircuitHTBClass); ok {
			var minor uint32
			if _, err := fmt.Sscanf(c.ClassID, "%x", &minor); err != nil || minors[minor] {
				return fmt.Sprintf("record %d: class %s again: %v", raw.Seq, c.ClassID, err)
			}
			at[raw.Seq], minors[minor] = minor, true
		}
	}
	must := f.acked
	if trusting {
		must = append(must[:len(must):len(must)], f.unknown...)
	}
	for _, a := range must {
		if at[a.seq] != a.minor {
			return fmt.Sprintf("class %x was acknowledged with Seq %d, where %x is", a.minor, a.seq, at[a.seq])
		}
	}
	for _, a := range f.refused {
		if minors[a.minor] {
			return fmt.Sprintf("class %x was refused, and is there", a.minor)
		}
	}
	f.there = 0
	for _, a := range f.unknown {
		if at[a.seq] == a.minor {
			f.there++
		} else if minors[a.minor] {
			return fmt.Sprintf("class %x, unknown with Seq %d, is elsewhere", a.minor, a.seq)
		}
	}
	return ""
}
