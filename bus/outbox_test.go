package bus

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
)

// What comes while a write is under way leaves in one write after it.
func TestOutboxGathersFrames(t *testing.T) {
	o := newOutbox(1<<20, idleBuffer)
	writes, proceed := make(chan int), make(chan struct{})
	var got bytes.Buffer
	done := make(chan error, 1)
	go func() {
		done <- o.run(func(b []byte) error {
			got.Write(b)
			writes <- len(b)
			<-proceed
			return nil
		})
	}()
	one := frameSize(3)
	o.put(0, []byte("abc"))
	if n := <-writes; n != one {
		t.Errorf("first write: %d bytes, want %d", n, one)
	}
	for i := range uint64(1000) {
		o.put(i+1, []byte("abc"))
	}
	o.finish()
	proceed <- struct{}{}
	if n := <-writes; n != 1000*one {
		t.Errorf("second write: %d bytes, want %d", n, 1000*one)
	}
	proceed <- struct{}{}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if frames, _ := readFrames(got.Bytes()); len(frames) != 1001 {
		t.Errorf("%d frames", len(frames))
	}
	if o.put(0, nil) {
		t.Error("a finished box took a frame")
	}
}

// Full, it blocks; a write makes room; broken, it drops.
func TestOutboxLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOutbox(100, idleBuffer)
		proceed, broken := make(chan struct{}), errors.New("broken")
		var wg sync.WaitGroup
		wg.Go(func() {
			n := 0
			err := o.run(func([]byte) error {
				<-proceed
				if n++; n == 2 {
					return broken
				}
				return nil
			})
			if !errors.Is(err, broken) {
				t.Errorf("run: %v", err)
			}
		})
		frame := make([]byte, 40) // 60 bytes with its heads
		o.put(0, frame)
		synctest.Wait() // until it is being written
		put := 0
		wg.Go(func() {
			for o.put(1, frame) {
				put++
			}
		})
		for want := 1; want <= 2; want++ {
			synctest.Wait()
			if put != want {
				t.Errorf("%d frames taken, want %d", put, want)
			}
			proceed <- struct{}{}
		}
		wg.Wait()
	})
}
