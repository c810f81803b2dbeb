package bus

import (
	"testing"
	"testing/synctest"
)

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(3, 100)
		reserved := make(chan bool, 1)
		reserve := func(cost int64) { go func() { reserved <- q.reserve(cost) }() }
		wantBlocked := func(why string) {
			t.Helper()
			synctest.Wait()
			if len(reserved) > 0 {
				t.Errorf("%s: there was room", why)
			}
		}
		wantRoom := func(why string, want bool) {
			t.Helper()
			synctest.Wait()
			if len(reserved) == 0 {
				t.Fatalf("%s: no room", why)
			}
			if <-reserved != want {
				t.Errorf("%s: reserve is %t", why, !want)
			}
		}
		reserve(500)
		wantRoom("one that is too large, alone", true)
		reserve(1)
		wantBlocked("beside one that is too large")
		q.done(500)
		wantRoom("after it", true)
		reserve(99)
		wantRoom("to the brim", true)
		reserve(0)
		wantRoom("of no cost", true)
		reserve(0)
		wantBlocked("a fourth")
		q.done(1)
		wantRoom("after one of three", true)
		for i := range uint64(3) {
			q.put(pending{id: i})
		}
		reserve(50)
		wantBlocked("before closing")
		q.close()
		wantRoom("closed", false)
		for i := range uint64(3) {
			if p, ok := q.take(); !ok || p.id != i {
				t.Errorf("took %d, %t; want %d", p.id, ok, i)
			}
		}
		if _, ok := q.take(); ok {
			t.Error("took from an empty closed queue")
		}
	})
}
