package eventlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// gate lets a test hold the committer at the start of a commit.
type gate struct{ reached, pass, open chan struct{} }

func newGate() gate { return gate{make(chan struct{}), make(chan struct{}), make(chan struct{})} }

func (g gate) before() error {
	select {
	case g.reached <- struct{}{}:
		<-g.pass
	case <-g.open: // for good
	}
	return nil
}

func TestWaitingTransactionsShareACommit(t *testing.T) {
	g := newGate()
	l := mustOpen(t, t.TempDir(), Options{faults: &faults{before: g.before}})
	first, err := l.Enqueue(textTx("", "first"))
	if err != nil {
		t.Fatal(err)
	}
	<-g.reached
	const writers = 300
	var wg sync.WaitGroup
	pendings := make(chan *Pending, writers)
	for i := range writers {
		wg.Go(func() {
			p, err := l.Enqueue(textTx("", fmt.Sprint(i)))
			if err != nil {
				t.Error(err)
				return
			}
			pendings <- p
		})
	}
	wg.Wait()
	close(pendings)
	g.pass <- struct{}{}
	<-g.reached
	if _, err := first.Wait(); err != nil {
		t.Error(err)
	}
	for p := range pendings {
		select {
		case <-p.Done():
			t.Fatal("done before its commit")
		default:
		}
	}
	g.pass <- struct{}{}
	if err := l.Wait(context.Background(), writers); err != nil {
		t.Fatal(err)
	}
	if n := l.commits.Load(); n != 2 {
		t.Errorf("%d commits for %d writers", n, writers)
	}
	if s, err := l.Stats(); err != nil || s.Commits != 2 || s.Frames != 2 || s.Records != writers+1 {
		t.Errorf("stats: %+v, %v", s, err)
	}
}

func TestKnownFailureAppendsNothing(t *testing.T) {
	dir := t.TempDir()
	boom := errors.New("boom")
	var fail error
	l := mustOpen(t, dir, Options{faults: &faults{before: func() error { return fail }}})
	mustAppend(t, l, "", "a")
	fail = boom
	_, err := l.Append(context.Background(), textTx("k", "b"))
	if !errors.Is(err, ErrNotAppended) || !errors.Is(err, boom) || errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("failed append: %v", err)
	}
	expectPoisoned(t, l, 1)
	mustClose(t, l)
	if got := collect(t, mustOpen(t, dir, Options{}).Records(0)); len(got) != 1 {
		t.Errorf("records: %q", got)
	}
}

// expectPoisoned checks that l accepts nothing and that what was durable can still be read.
func expectPoisoned(t *testing.T, l *Log, last Seq) {
	t.Helper()
	if _, err := l.Enqueue(textTx("", "x")); !errors.Is(err, ErrPoisoned) || !errors.Is(err, ErrNotAppended) {
		t.Errorf("Enqueue after the failure: %v", err)
	} else if errors.Is(err, ErrUnknownOutcome) || !strings.Contains(err.Error(), "failed commit: ") {
		t.Errorf("Enqueue after the failure: %v, want why it failed, and no unknown outcome", err)
	}
	if _, err := l.Roll(Snapshot{}); !errors.Is(err, ErrPoisoned) {
		t.Errorf("Roll after the failure: %v", err)
	}
	if err := l.Wait(context.Background(), last); !errors.Is(err, ErrPoisoned) {
		t.Errorf("Wait after the failure: %v", err)
	}
	if l.LastSeq() != last || len(collect(t, l.Records(0))) != int(last) {
		t.Errorf("last seq %d, %d records", l.LastSeq(), len(collect(t, l.Records(0))))
	}
	if p, ok := l.Known("k"); ok {
		if _, err := p.Wait(); err == nil {
			t.Error("the key of a failed transaction counts as durable")
		}
	}
}

func TestUnknownOutcome(t *testing.T) {
	for name, written := range map[string]bool{"record is there": true, "record is not there": false} {
		t.Run(name, func(t *testing.T) {
			dir, g := t.TempDir(), newGate()
			broken := errors.New("input/output error")
			f := &faults{before: g.before, commit: func(tx *bolt.Tx) error {
				if written {
					return errors.Join(tx.Commit(), broken)
				}
				return errors.Join(tx.Rollback(), broken)
			}}
			l := mustOpen(t, dir, Options{faults: f})
			p, err := l.Enqueue(textTx("k", "a", "b"))
			if err != nil {
				t.Fatal(err)
			}
			<-g.reached
			behind, err := l.Enqueue(textTx("", "behind"))
			if err != nil {
				t.Fatal(err)
			}
			again, err := l.Enqueue(textTx("k", "a", "b"))
			if err != nil || again.Result() != (Result{First: 1, Last: 2, Duplicate: true}) {
				t.Fatalf("duplicate of one under way: %+v, %v", again.Result(), err)
			}
			g.pass <- struct{}{}
			if _, err := p.Wait(); !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, broken) || errors.Is(err, ErrNotAppended) {
				t.Errorf("outcome: %v", err)
			}
			if _, err := again.Wait(); !errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("outcome of the duplicate: %v", err)
			}
			if _, err := behind.Wait(); !errors.Is(err, ErrNotAppended) || !errors.Is(err, ErrPoisoned) || errors.Is(err, ErrUnknownOutcome) {
				t.Errorf("outcome of the one behind: %v", err)
			}
			expectPoisoned(t, l, 0)
			_ = l.Close()
			expectTailDecides(t, dir, written)
		})
	}
}

// expectTailDecides reopens and retries the transaction with key k.
func expectTailDecides(t *testing.T, dir string, written bool) {
	t.Helper()
	l := mustOpen(t, dir, Options{})
	if _, ok := known(t, l, "k"); ok != written {
		t.Errorf("key known: %t", ok)
	}
	res := mustAppend(t, l, "k", "a", "b")
	if res != (Result{First: 1, Last: 2, Duplicate: written}) {
		t.Errorf("retry: %+v", res)
	}
	if got := collect(t, l.Records(0)); len(got) != 2 {
		t.Errorf("records: %q", got)
	}
	mustClose(t, l)
	verifyClean(t, dir)
}

func init() {
	// full appends until the file may not grow any more, and expects an unknown outcome; then it reopens and verifies.
	childRoles["full"] = func(dir string) error {
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 3 << 20, Max: 3 << 20}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			return err
		}
		l, err := Open(dir, Options{SegmentBytes: 1 << 20})
		if err != nil {
			return err
		}
		var acked Seq
		for {
			res, err := l.Append(context.Background(), Tx{Records: [][]byte{incompressible(100 << 10)}})
			if err != nil {
				if !errors.Is(err, ErrUnknownOutcome) || acked == 0 {
					return fmt.Errorf("after seq %d: %w", acked, err)
				}
				break
			}
			acked = res.Last
		}
		_ = l.Close()
		if l, err = Open(dir, Options{}); err != nil {
			return err
		}
		if l.LastSeq() != acked && l.LastSeq() != acked+1 {
			return fmt.Errorf("acked through seq %d, the log ends at %d", acked, l.LastSeq())
		}
		return l.Close()
	}
}

func TestFileThatCannotGrow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if err := child(t, "full", dir).Run(); err != nil {
		t.Fatal("child: ", err)
	}
	verifyClean(t, dir)
	mustAppend(t, mustOpen(t, dir, Options{}), "", "goes on without the limit")
}

// TestCommitNeedsItsName: nothing is reported durable in a file that isn't in the directory any more.
func TestCommitNeedsItsName(t *testing.T) {
	for name, meddle := range map[string]func(path string) error{
		"removed": os.Remove,
		"moved":   func(path string) error { return os.Rename(path, path+".old") },
		"a copy in its place": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, b, modeLive))
		},
		"a link in its place": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.Symlink(path+".old", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := mustOpen(t, t.TempDir(), Options{SegmentBytes: 1 << 16})
			mustAppend(t, l, "", "before")
			if err := meddle(l.live.path); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Append(t.Context(), textTx("", "after")); !errors.Is(err, ErrNotAppended) {
				t.Errorf("append: %v", err)
			}
		})
	}
}
