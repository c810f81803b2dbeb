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
		idle := s.ping(c, time.Second)
		bound := 3*idle.Percentile(50) + 20*time.Millisecond
		t.Logf("idle: %v; 3 × the median + 20 ms = %v", idle, bound)
		for attempt := 1; ; attempt++ {
			loaded := s.saturated(c)
			t.Logf("saturated, with %s: %v", c.sqm, loaded)
			if loaded.Percentile(95) < bound {
				break
			}
			if attempt == 3 {
				t.Errorf("95 %% of echoes took up to %v with cake, want %v at most, in one of three attempts", loaded.Percentile(95), bound)
				break
			}
		}

		c.sqm = "pfifo limit 1000"
		s.play([]golden.Request{s.leaf(c, false), s.leaf(c, true)})
		loaded := s.saturated(c)
		t.Logf("saturated, with %s: %v", c.sqm, loaded)
		if loaded.Percentile(50) < bound {
			t.Errorf("half of the echoes took %v at most without cake: this test can't see queues", loaded.Percentile(50))
		}
	})
}

// saturated pings while the circuit's download is saturated.
func (s *shaper) saturated(c labCircuit) (echoes testenv.RoundTrips) {
	s.t.Helper()
	received := make(chan []testenv.Received, 1)
	go func() {
		list, err := s.lab.Transfer(s.t.Context(), testenv.Stream{Subscriber: testenv.Subscriber(c.n), Time: 4 * time.Second})
		if err != nil {
			s.t.Error(err)
		}
		received <- list
	}()
	<-time.After(time.Second) // TCP has filled the queue by then
	echoes = s.ping(c, 2500*time.Millisecond)
	for _, r := range <-received {
		if r.Goodput() < 0.75*c.ceil {
			s.t.Errorf("the circuit carried only %.1f of %v Mbit/s", r.Goodput(), c.ceil)
		}
	}
	return echoes
}

// ping sends echoes through a circuit.
func (s *shaper) ping(c labCircuit, span time.Duration) testenv.RoundTrips {
	s.t.Helper()
	r, err := s.lab.Ping(s.t.Context(), testenv.Subscriber(c.n), span)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}
