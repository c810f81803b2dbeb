package eventlog

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"lqosd/internal/testenv"
)

// mustOpen opens dir and closes it at the end of the test.
func mustOpen(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	testenv.NoLeakedFDs(t)
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func mustClose(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// mustAppend appends one transaction of these records.
func mustAppend(t testing.TB, l *Log, key string, records ...string) Result {
	t.Helper()
	res, err := l.Append(context.Background(), textTx(key, records...))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func textTx(key string, records ...string) Tx {
	tx := Tx{Key: key}
	for _, r := range records {
		tx.Records = append(tx.Records, []byte(r))
	}
	return tx
}

func mustRoll(t testing.TB, l *Log, mark uint64, state string) {
	t.Helper()
	p, err := l.Roll(textSnapshot(mark, state))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
}

// collect returns the payloads of an iteration; it checks that seqs have no gap.
func collect(t testing.TB, records iter.Seq2[Record, error]) (data []string) {
	t.Helper()
	var last Seq
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		if last != 0 && r.Seq != last+1 {
			t.Fatalf("seq %d after %d", r.Seq, last)
		}
		last = r.Seq
		data = append(data, string(r.Data))
	}
	return data
}

// lastError returns the error that an iteration ends with.
func lastError(records iter.Seq2[Record, error]) (last error) {
	for _, err := range records {
		last = err
	}
	return last
}

// numbered returns n payloads "PREFIX0", "PREFIX1", …
func numbered(prefix string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(prefix, i)
	}
	return out
}

func verifyClean(t testing.TB, dir string) Report {
	t.Helper()
	r, err := Verify(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.Problems {
		t.Error("problem: ", p)
	}
	return r
}

func TestAppendIsReadBackAcrossReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	clock := time.Unix(1_700_000_000, 123)
	o := Options{Clock: func() time.Time { return clock }}
	l := mustOpen(t, dir, o)
	if res := mustAppend(t, l, "", "a", "", "c"); res != (Result{First: 1, Last: 3}) {
		t.Errorf("first result: %+v", res)
	}
	mustAppend(t, l, "key", "d", "e")
	check := func(l *Log, epochs int) {
		t.Helper()
		var got []Record
		for r, err := range l.Records(0) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
		}
		want := []Record{
			{Seq: 1, Time: clock, Epoch: 1, Data: []byte("a")},
			{Seq: 2, Time: clock, Epoch: 1, Data: []byte{}},
			{Seq: 3, Time: clock, Epoch: 1, Data: []byte("c"), TxEnd: true},
			{Seq: 4, Time: clock, Epoch: 1, Data: []byte("d")},
			{Seq: 5, Time: clock, Epoch: 1, Data: []byte("e"), TxEnd: true, Key: "key"},
			{Seq: 6, Time: clock, Epoch: 2, Data: []byte("f"), TxEnd: true},
		}[:len(got)]
		if len(got) < 5 || cmp.Diff(want, got) != "" {
			t.Errorf("records: %s", cmp.Diff(want, got))
		}
	}
	check(l, 1)
	mustClose(t, l)
	l = mustOpen(t, dir, o)
	if l.LastSeq() != 5 || l.FirstSeq() != 1 {
		t.Errorf("after reopen: first %d, last %d", l.FirstSeq(), l.LastSeq())
	}
	check(l, 1)
	mustAppend(t, l, "", "f")
	if got := collect(t, l.Records(5)); cmp.Diff([]string{"e", "f"}, got) != "" {
		t.Errorf("records from 5: %q", got)
	}
	check(l, 2)
	mustClose(t, l)
	verifyClean(t, dir)
}

func TestOpeningAndReadingWritesNothing(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	mustAppend(t, l, "", "a")
	mustClose(t, l)
	before, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	l = mustOpen(t, dir, Options{})
	collect(t, l.Records(0))
	mustClose(t, l)
	after, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("opening and closing changed the live segment")
	}
}

func TestEpochCountsOpeningsThatCommitted(t *testing.T) {
	dir := t.TempDir()
	for range 3 { // openings without a commit leave no trace
		mustClose(t, mustOpen(t, dir, Options{}))
	}
	for i := range 3 {
		l := mustOpen(t, dir, Options{BootID: "boot", Holder: Holder{Version: "v1"}})
		mustAppend(t, l, "", fmt.Sprint(i))
		mustClose(t, l)
	}
	l := mustOpen(t, dir, Options{})
	var epochs []uint32
	for r, err := range l.Records(0) {
		if err != nil {
			t.Fatal(err)
		}
		epochs = append(epochs, r.Epoch)
	}
	if diff := cmp.Diff([]uint32{1, 2, 3}, epochs); diff != "" {
		t.Error(diff)
	}
	err := l.live.view(func(tx *bolt.Tx) error {
		var e epochMeta
		ok, err := getJSON(tx.Bucket(bucketMeta), epochKey(2), &e)
		if !ok || e.BootID != "boot" || e.Version != "v1" || e.PID != os.Getpid() || e.Start.IsZero() {
			t.Errorf("entry of epoch 2: %+v", e)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRefusedBeforeASeqIsGiven(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{})
	for name, tx := range map[string]Tx{
		"no records":     {},
		"long key":       textTx(strings.Repeat("k", MaxKey+1), "a"),
		"big record":     {Records: [][]byte{make([]byte, MaxRecord+1)}},
		"many records":   {Records: make([][]byte, MaxTxRecords+1)},
		"big altogether": {Records: [][]byte{make([]byte, MaxRecord), make([]byte, MaxRecord), make([]byte, MaxRecord), make([]byte, MaxRecord), {1}}},
	} {
		if _, err := l.Enqueue(tx); !errors.Is(err, ErrNotAppended) {
			t.Errorf("%s: %v", name, err)
		} else if name != "no records" && !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s is not ErrTooLarge: %v", name, err)
		}
	}
	if res := mustAppend(t, l, strings.Repeat("k", MaxKey), "a"); res.First != 1 {
		t.Errorf("first seq after refusals is %d", res.First)
	}
}

func TestLargestRecordRoundTrips(t *testing.T) {
	testenv.Long(t, "records of 64 MiB")
	l := mustOpen(t, t.TempDir(), Options{NoSync: true})
	big := make([]byte, MaxRecord)
	for i := range big {
		big[i] = byte(i * i >> 7)
	}
	if _, err := l.Append(context.Background(), Tx{Key: "k", Records: [][]byte{{1}, big, {2}}}); err != nil {
		t.Fatal(err)
	}
	l.ring = ring{limit: ringBytes} // read from the file
	got := collect(t, l.Records(0))
	if len(got) != 3 || got[1] != string(big) || got[2] != "\x02" {
		t.Errorf("%d records came back", len(got))
	}
}

func TestCloseCommitsWhatWaits(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	var last *Pending
	for i := range 500 {
		p, err := l.Enqueue(textTx("", fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		last = p
	}
	mustClose(t, l)
	if res, err := last.Wait(); err != nil || res.Last != 500 {
		t.Errorf("last pending: %+v, %v", res, err)
	}
	if _, err := l.Enqueue(textTx("", "x")); !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNotAppended) {
		t.Errorf("Enqueue after Close: %v", err)
	}
	if _, err := l.Roll(Snapshot{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Roll after Close: %v", err)
	}
	if err := l.Wait(context.Background(), 500); !errors.Is(err, ErrClosed) {
		t.Errorf("Wait after Close: %v", err)
	}
	if _, err := l.Stats(); !errors.Is(err, ErrClosed) {
		t.Errorf("Stats after Close: %v", err)
	}
	if _, _, err := l.Snapshot(); !errors.Is(err, ErrClosed) {
		t.Errorf("Snapshot after Close: %v", err)
	}
	if n := len(collect(t, mustOpen(t, dir, Options{}).Records(0))); n != 500 {
		t.Errorf("%d records after reopening", n)
	}
}

func TestAppendersFromManyGoroutinesKeepTheirOrder(t *testing.T) {
	l := mustOpen(t, t.TempDir(), Options{NoSync: true})
	const writers, each = 16, 200
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := l.Append(context.Background(), textTx("", fmt.Sprintf("%d/%d", w, i), "end")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	next := [writers]int{}
	got := collect(t, l.Records(0))
	for i := 0; i < len(got); i += 2 {
		var w, n int
		if _, err := fmt.Sscanf(got[i], "%d/%d", &w, &n); err != nil || got[i+1] != "end" {
			t.Fatalf("transactions are mixed at %d: %q, %q", i, got[i], got[i+1])
		}
		if n != next[w] {
			t.Fatalf("writer %d: %d came after %d", w, n, next[w])
		}
		next[w]++
	}
	if len(got) != writers*each*2 {
		t.Errorf("%d records", len(got))
	}
}
