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

func putEach(t *testing.T, q *queue, txs ...Tx) {
	t.Helper()
	for _, tx := range txs {
		if _, err := q.put(t.Context(), tx); err != nil {
			t.Fatal(err)
		}
	}
}
