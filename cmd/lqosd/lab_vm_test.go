package main

import (
	"testing"
	"time"

	"lqosd/internal/golden"
	"lqosd/internal/testenv"
)

// inCakeLab runs body on a kernel that has cake and VLANs. iperf3's UDP is too slow there for more than a few Mbit/s.
func inCakeLab(t *testing.T, options testenv.LabOptions, body func(s *shaper)) {
	t.Helper()
	testenv.InVMWith(t, testenv.VMOptions{First: true}, func(t *testing.T) {
		testenv.Need(t, testenv.TC)
		for _, kind := range []string{"htb", "cake"} { // whoever asks first has the module loaded
			command(t, "tc", "qdisc", "add", "dev", "lo", "root", kind)
			command(t, "tc", "qdisc", "del", "dev", "lo", "root")
		}
		body(newShaper(t, options))
	})
}

// TestLabLatency pings through a circuit that is saturated: cake keeps the echoes out of the queue, and a FIFO doesn't.
func TestLabLatency(t *testing.T) {
	inCakeLab(t, testenv.LabOptions{Queues: shaperQueues}, func(s *shaper) {
		s.serve()
		c := labCircuit{n: 1, ceil: 20, sqm: "cake diffserv4"}
		s.play(s.network(c))
		idle, err := s.lab.PingIdle(t.Context(), testenv.Subscriber(c.n))
		if err != nil || len(idle.Times) == 0 {
			t.Fatal(idle, err)
		}
		bound := 3*idle.Percentile(50) + 20*time.Millisecond
		t.Logf("idle: %v; 3 × the median + 20 ms = %v", idle, bound)
		if !s.onceSaturated(c, func(echoes testenv.RoundTrips) bool { return echoes.Percentile(95) < bound }) {
			t.Errorf("with cake 95 %% of echoes never came back within %v", bound)
		}

		c.sqm = "pfifo limit 1000"
		s.play([]golden.Request{s.leaf(c, false), s.leaf(c, true)})
		if !s.onceSaturated(c, func(echoes testenv.RoundTrips) bool { return echoes.Percentile(50) > bound }) {
			t.Errorf("without cake half of the echoes came back within %v each time: this test can't see queues", bound)
		}
	})
}

// onceSaturated pings while the circuit's download is saturated, ten times at most, until the echoes are as they should be. What
// else the machine does may disturb one attempt, but not all.
func (s *shaper) onceSaturated(c labCircuit, should func(testenv.RoundTrips) bool) bool {
	s.t.Helper()
	for attempt := 1; attempt <= 10; attempt++ {
		echoes := s.saturated(c)
		s.t.Logf("saturated, with %s, attempt %d: %v", c.sqm, attempt, echoes)
		if len(echoes.Times) >= 5 && should(echoes) {
			return true
		}
	}
	return false
}

// saturated pings through a circuit whose download a stream saturates.
func (s *shaper) saturated(c labCircuit) testenv.RoundTrips {
	s.t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := s.lab.Transfer(s.t.Context(), testenv.Stream{Subscriber: testenv.Subscriber(c.n), Time: 4 * time.Second})
		ended <- err
	}()
	<-time.After(time.Second) // TCP has filled the queue by then
	echoes, err := s.lab.PingSaturated(s.t.Context(), testenv.Subscriber(c.n), 2500*time.Millisecond, c.ceil)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := <-ended; err != nil {
		s.t.Log(err)
	}
	return echoes
}
