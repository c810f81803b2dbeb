package eventlog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
)

func init() {
	// appender appends from four goroutines until it is killed, rolls when that is due, and prints each seq once it is durable.
	childRoles["appender"] = func(dir string) error {
		l, err := Open(dir, Options{SegmentBytes: 256 << 10})
		if err != nil {
			return err
		}
		failed := make(chan error, 5)
		var out sync.Mutex
		for range 4 {
			go func() {
				for i := 0; ; i++ {
					res, err := l.Append(context.Background(), killTx(i))
					if err != nil {
						failed <- err
						return
					}
					out.Lock()
					fmt.Println(res.Last)
					out.Unlock()
					if l.NeedsRoll() {
						if _, err := l.Roll(textSnapshot(0, "state")); err != nil {
							failed <- err
							return
						}
					}
				}
			}()
		}
		return <-failed
	}
}

func killTx(i int) Tx {
	if i%10 == 9 {
		return Tx{Records: commandLike(100)}
	}
	return textTx("", numbered("r", 1+i%3)...)
}

// TestKilledWriterLosesNothingThatWasAcked kills a process that appends, again and again on the same log.
func TestKilledWriterLosesNothingThatWasAcked(t *testing.T) {
	kills := 10
	if testing.Short() {
		kills = 3
	}
	dir := filepath.Join(t.TempDir(), "log")
	rng := rand.New(rand.NewPCG(11, 11))
	acked := Seq(0)
	for round := range kills {
		cmd := child(t, "appender", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		acked = max(acked, killAfter(t, out, 1+rng.IntN(400), cmd.Process.Kill))
		_ = cmd.Wait()
		r := verifyAfterKill(t, dir)
		if r.LastGood < acked {
			t.Fatalf("round %d: acked through seq %d, the log ends at %d", round, acked, r.LastGood)
		}
	}
	if firsts, err := listSegments(dir); err != nil || len(firsts) < 2 && !testing.Short() {
		t.Errorf("segments %v, %v: no roll was among it", firsts, err)
	}
}

// killAfter kills after n acks and returns the highest seq that was acked before the end.
func killAfter(t *testing.T, out io.Reader, n int, kill func() error) (acked Seq) {
	t.Helper()
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		var s Seq
		if _, err := fmt.Sscan(lines.Text(), &s); err != nil {
			continue // cut off by the kill
		}
		acked = max(acked, s)
		if i == n {
			if err := kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return acked
}

// verifyAfterKill opens the log as the next daemon would, which finishes a roll, and verifies it.
func verifyAfterKill(t *testing.T, dir string) Report {
	t.Helper()
	mustClose(t, mustOpen(t, dir, Options{}))
	return verifyClean(t, dir)
}
