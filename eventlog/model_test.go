package eventlog

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lqosd/internal/testenv"
)

// model is what a log should hold, kept as plain slices.
type model struct {
	dir  string
	log  *Log
	tick uint64

	records  []Record // with zero Time and Epoch
	keys     map[string]Result
	cursors  map[string]string
	starts   []Seq // first seqs of the segments
	state    string
	stateAt  Seq
	unwaited []*Pending
}

func (m *model) open(t *rapid.T) {
	l, err := Open(m.dir, Options{NoSync: true, SegmentBytes: 1 << 20, faults: &faults{room: smallRoom}})
	if err != nil {
		t.Fatal(err)
	}
	m.log = l
}

// Append enqueues a transaction, with a key that may be a known one.
func (m *model) Append(t *rapid.T) {
	tx := Tx{Key: rapid.SampledFrom([]string{"", "", "", "a", "b", "c", "d"}).Draw(t, "key")}
	size := rapid.SampledFrom([]int{0, 10, 100, 5000, 40_000, 100_000}).Draw(t, "size")
	for i := range rapid.IntRange(1, 20).Draw(t, "records") {
		tx.Records = append(tx.Records, append(fmt.Appendf(nil, "%d ", len(m.records)+i), make([]byte, size)...))
	}
	p, err := m.log.Enqueue(tx)
	if err != nil {
		t.Fatal(err)
	}
	m.unwaited = append(m.unwaited, p)
	first := Seq(len(m.records)) + 1
	want := Result{First: first, Last: first + Seq(len(tx.Records)) - 1}
	if old, ok := m.keys[tx.Key]; ok {
		want = old
		want.Duplicate = true
	} else {
		m.add(tx, want)
	}
	if p.Result() != want {
		t.Fatalf("result %+v, want %+v", p.Result(), want)
	}
}

func (m *model) add(tx Tx, res Result) {
	if tx.Key != "" {
		m.keys[tx.Key] = res
	}
	for i, data := range tx.Records {
		r := Record{Seq: res.First + Seq(i), Data: data}
		if r.Seq == res.Last {
			r.TxEnd, r.Key = true, tx.Key
		}
		m.records = append(m.records, r)
	}
}

// Roll starts a segment, unless the live one is empty.
func (m *model) Roll(t *rapid.T) {
	m.tick++
	state := fmt.Sprint("state ", m.tick)
	p, err := m.log.Roll(textSnapshot(m.tick, state))
	if err != nil {
		t.Fatal(err)
	}
	m.unwaited = append(m.unwaited, p)
	if next := Seq(len(m.records)) + 1; next > m.starts[len(m.starts)-1] {
		m.starts = append(m.starts, next)
		m.state, m.stateAt = state, next-1
	}
}

// SetCursor moves a cursor.
func (m *model) SetCursor(t *rapid.T) {
	name, v := rapid.SampledFrom([]string{"x", "y"}).Draw(t, "name"), rapid.StringN(0, 20, 100).Draw(t, "value")
	m.log.SetCursor(name, []byte(v))
	m.cursors[name] = v
}

// Prune drops all sealed segments before a random mark.
func (m *model) Prune(t *rapid.T) {
	m.settle(t)
	if _, err := m.log.Prune(Policy{MinMark: uint64(rapid.IntRange(0, int(m.tick)+1).Draw(t, "mark"))}); err != nil {
		t.Fatal(err)
	}
	first := m.log.FirstSeq()
	for m.starts[0] < first && len(m.starts) > 1 {
		m.starts = m.starts[1:]
	}
	if m.starts[0] != first {
		t.Fatalf("first seq %d is no start of a segment: %v", first, m.starts)
	}
}

// Reopen closes and opens the log.
func (m *model) Reopen(t *rapid.T) {
	if err := m.log.Close(); err != nil {
		t.Fatal(err)
	}
	m.settle(t)
	m.open(t)
}

// settle waits for everything that was enqueued.
func (m *model) settle(t *rapid.T) {
	for _, p := range m.unwaited {
		if _, err := p.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	m.unwaited = nil
}

// Check compares everything with the model.
func (m *model) Check(t *rapid.T) {
	m.settle(t)
	if int(m.log.LastSeq()) != len(m.records) || m.log.FirstSeq() != m.starts[0] {
		t.Fatalf("seq %d to %d, want %d to %d", m.log.FirstSeq(), m.log.LastSeq(), m.starts[0], len(m.records))
	}
	from := Seq(rapid.IntRange(int(m.starts[0]), len(m.records)+1).Draw(t, "from"))
	i := int(from) - 1
	for r, err := range m.log.Records(from) {
		if err != nil {
			t.Fatal(err)
		}
		want := m.records[i]
		if r.Seq != want.Seq || r.TxEnd != want.TxEnd || r.Key != want.Key || string(r.Data) != string(want.Data) {
			t.Fatalf("record %d differs: %d %t %q, %d bytes", want.Seq, r.Seq, r.TxEnd, r.Key, len(r.Data))
		}
		i++
	}
	if i != len(m.records) {
		t.Fatalf("records end after %d of %d", i, len(m.records))
	}
	m.checkRest(t)
}

func (m *model) checkRest(t *rapid.T) {
	for key, want := range m.keys {
		want.Duplicate = true
		if got, ok := known(t, m.log, key); !ok || got != want {
			t.Fatalf("key %s: %+v %t, want %+v", key, got, ok, want)
		}
	}
	for name, want := range m.cursors {
		if got, err := m.log.Cursor(name); err != nil || string(got) != want {
			t.Fatalf("cursor %s: %q, %v, want %q", name, got, err, want)
		}
	}
	data, at, err := m.log.Snapshot()
	if err != nil || string(data) != m.state || at != m.stateAt {
		t.Fatalf("snapshot %q at %d, %v, want %q at %d", data, at, err, m.state, m.stateAt)
	}
	s, err := m.log.Stats()
	if err != nil || int(s.Last-s.First)+1 != int(s.Records) || len(s.Segments) != len(m.starts) {
		t.Fatalf("stats %+v, %v", s, err)
	}
}

func TestLogBehavesLikeASlice(t *testing.T) {
	testenv.NoLeakedFDs(t)
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "") //nolint:usetesting // rapid.T has no TempDir of its own for each run
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		m := &model{
			dir: filepath.Join(dir, "log"), keys: map[string]Result{}, cursors: map[string]string{}, starts: []Seq{1},
		}
		m.open(t)
		defer func() { _ = m.log.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"append": m.Append, "append more": m.Append, "roll": m.Roll, "cursor": m.SetCursor, "prune": m.Prune,
			"reopen": m.Reopen, "check": m.Check,
		})
		m.Check(t)
		if err := m.log.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := Verify(t.Context(), m.dir)
		if err != nil || !r.Clean() || int(r.LastGood) != len(m.records) {
			t.Fatalf("verify: %+v, %v", r, err)
		}
		if diff := cmp.Diff(m.starts[0], r.First); diff != "" {
			t.Fatal(diff)
		}
	})
}
