package testenv

import "time"

// stall is the shortest time without a processor that counts: what is shorter HTB gives back, as the labs' circuits have a burst.
const stall = 10 * time.Millisecond

// stallMeter adds up the stalls of a machine: the times at which somebody who wants to wake up every millisecond didn't. Other work on a
// busy machine does that, and a host that has something else to do than to run its virtual machines.
type stallMeter struct {
	stop  chan struct{}
	ended chan time.Duration
}

func startStallMeter() stallMeter {
	m := stallMeter{stop: make(chan struct{}), ended: make(chan time.Duration)}
	last := time.Now()
	go func() {
		var sum time.Duration
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for stopped := false; !stopped; {
			select {
			case <-m.stop:
				stopped = true // it may have been stalled until now
			case <-tick.C:
			}
			now := time.Now()
			if gap := now.Sub(last); gap >= stall {
				sum += gap
			}
			last = now
		}
		m.ended <- sum
	}()
	return m
}

// end ends it and returns the sum.
func (m stallMeter) end() time.Duration {
	close(m.stop)
	return <-m.ended
}
