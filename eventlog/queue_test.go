package eventlog

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestFullQueueBlocksUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(1, newKeyTable())
		half := Tx{Records: [][]byte{make([]byte, maxQueueBytes/2)}} // and its framing: two are too much
		if _, err := q.put(t.Context(), half); err != nil {
			t.Fatal(err)
		}
		entered := make(chan error, 2)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { _, err := q.put(ctx, half); entered <- err }()
		synctest.Wait()
		cancel()
		if err := <-entered; !errors.Is(err, context.Canceled) || !errors.Is(err, ErrNotAppended) {
			t.Errorf("put whose context ended: %v", err)
		}
		go func() { _, err := q.put(context.Background(), half); entered <- err }()
		synctest.Wait()
		select {
		case err := <-entered:
			t.Fatalf("put into a full queue returned %v", err)
		default:
		}
		items, _ := q.take()
		if err := <-entered; err != nil || len(items) != 1 {
			t.Errorf("%d items taken, then %v", len(items), err)
		}
		go func() { _, err := q.put(context.Background(), half); entered <- err }()
		synctest.Wait()
		q.stop(ErrClosed)
		if err := <-entered; !errors.Is(err, ErrClosed) || !errors.Is(err, ErrNotAppended) {
			t.Errorf("put into a closing queue: %v", err)
		}
	})
}

func TestTransactionOverTheQueueLimitPassesAlone(t *testing.T) {
	q := newQueue(1, newKeyTable())
	big := Tx{Records: make([][]byte, maxQueueRecords+1)}
	small := textTx("", "a")
	if _, err := q.put(t.Context(), big); err != nil {
		t.Fatal(err)
	}
	if items, _ := q.take(); len(items) != 1 {
		t.Fatalf("%d items", len(items))
	}
	if p, err := q.put(t.Context(), small); err != nil || p.Result().First != maxQueueRecords+2 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestRollIsTakenAloneAndInOrder(t *testing.T) {
	q := newQueue(1, newKeyTable())
	put := func() {
		if _, err := q.put(t.Context(), textTx("", "a")); err != nil {
			t.Fatal(err)
		}
	}
	put()
	put()
	p, err := q.putRoll(Snapshot{})
	if err != nil || p.Result().Last != 2 {
		t.Fatalf("%+v, %v", p, err)
	}
	put()
	for i, want := range []int{2, 1, 1, 0} {
		items, _ := q.take()
		if len(items) != want || i == 1 && items[0] != p {
			t.Errorf("take %d: %d items", i, len(items))
		}
	}
}

// The committer waits for those whom a commit woke, but only while they can come.
func TestLingerEnds(t *testing.T) {
	for name, fill := range map[string]func(*queue){
		"as many are in line": func(q *queue) { putEach(t, q, textTx("", "a"), textTx("", "b"), textTx("", "c")) },
		"the log closes":      func(q *queue) { q.stop(ErrClosed) },
		"the log is poisoned": func(q *queue) { q.poison(ErrPoisoned) },
		"a roll is in line": func(q *queue) {
			if _, err := q.putRoll(Snapshot{}); err != nil {
				t.Fatal(err)
			}
			putEach(t, q, textTx("", "a"))
		},
		"the line is full": func(q *queue) {
			large := Tx{Records: [][]byte{make([]byte, maxQueueBytes/2)}}
			putEach(t, q, large)
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = q.put(t.Context(), large)
			}()
			t.Cleanup(func() {
				q.stop(ErrClosed)
				<-ended
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := &Log{queue: newQueue(1, newKeyTable())}
			fill(l.queue)
			l.linger(3, time.Hour) // hangs if it waits
		})
	}
	(&Log{queue: newQueue(1, newKeyTable())}).linger(enough, time.Hour)
	(&Log{queue: newQueue(1, newKeyTable())}).linger(1, time.Hour)
}

// TestGather: who gathers goes on when as many are in line, when nobody else can come, and when the time is over.
func TestGather(t *testing.T) {
	for name, tc := range map[string]struct {
		come func(*testing.T, *queue) // each second
		want time.Duration
	}{
		"as many come": {func(t *testing.T, q *queue) { t.Helper(); putEach(t, q, textTx("", "a")) }, 3 * time.Second},
		"nobody comes": {func(*testing.T, *queue) {}, 10 * time.Second},
		"the log ends": {func(_ *testing.T, q *queue) { q.stop(ErrClosed) }, time.Second},
		"a roll comes": {func(_ *testing.T, q *queue) { _, _ = q.putRoll(Snapshot{}) }, time.Second},
		"the line is full": {func(t *testing.T, q *queue) {
			t.Helper()
			_, _ = q.put(t.Context(), Tx{Records: [][]byte{make([]byte, maxQueueBytes)}})
		}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(1, newKeyTable())
				putEach(t, q, textTx("", "a"))
				done, tick := make(chan time.Duration), time.NewTicker(time.Second)
				go func() {
					began := time.Now()
					q.gather(4, 10*time.Second)
					tick.Stop()
					done <- time.Since(began)
				}()
				for took := time.Duration(-1); took < 0; {
					select {
					case <-tick.C:
						go tc.come(t, q)
					case took = <-done:
						if took != tc.want {
							t.Errorf("it gathered for %v, want %v", took, tc.want)
						}
					}
				}
				q.stop(ErrClosed)
			})
		})
	}
}

// TestGatheringIsNotWoken: while so many gather, those before them don't wake the committer; after it each does.
func TestGatheringIsNotWoken(t *testing.T) {
	q := newQueue(1, newKeyTable())
	q.wakeAt(3)
	for i, want := range []int{0, 0, 1} {
		putEach(t, q, textTx("", "a"))
		if got := len(q.wake); got != want {
			t.Errorf("after %d of 3: %d wakes, want %d", i+1, got, want)
		}
	}
	<-q.wake
	q.take()
	q.gather(2, time.Millisecond)
	if putEach(t, q, textTx("", "a")); len(q.wake) != 1 {
		t.Error("the next that comes doesn't wake")
	}
}

// TestLingerGathers: those of many who have others behind them wait for all that are on their way, no longer than a commit is worth it.
func TestLingerGathers(t *testing.T) {
	for name, tc := range map[string]struct {
		group, inLine int
		took          time.Duration
		want          time.Duration
	}{
		"few":                     {many - 1, many - 1, 40 * time.Microsecond, 0},
		"many, and nobody behind": {enough, 0, time.Millisecond, 0},
		"many":                    {many, 1, time.Millisecond, 2 * time.Millisecond},
		"after a long commit":     {many, 1, time.Hour, longest},
		"enough are in line":      {many, enough, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &Log{queue: newQueue(1, newKeyTable())}
				for range tc.inLine {
					putEach(t, l.queue, textTx("", "a"))
				}
				began := time.Now()
				l.linger(tc.group, tc.took)
				if took := time.Since(began); took != tc.want {
					t.Errorf("it lingers for %v, want %v", took, tc.want)
				}
			})
		})
	}
}

func putEach(t *testing.T, q *queue, txs ...Tx) {
	t.Helper()
	for _, tx := range txs {
		if _, err := q.put(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
}
