package eventlog

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
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
