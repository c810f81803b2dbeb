package main

import (
	"testing"
	"time"

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
		t.Logf("idle: %v", idle)
		bound := 3*idle.Percentile(50) + 20*time.Millisecond
		saturated := func() testenv.RoundTrips {
			var echoes testenv.RoundTrips
			s.lab.MeasureWhile(t, func() {
				<-time.After(time.Second) // TCP has filled the queue by then
				echoes = s.ping(c, 3*time.Second)
			}, c.stream())
			return echoes
		}
		withCake := saturated()
		t.Logf("saturated, with cake: %v", withCake)

		c.sqm = "pfifo limit 1000"
		s.play(append(s.network(c)[2:], s.leaf(c, false)))
		withFIFO := saturated()
		t.Logf("saturated, with pfifo: %v", withFIFO)
		t.Logf("bound %v: %v with cake, %v without", bound, withCake.Percentile(95), withFIFO.Percentile(95))
	})
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

// TestLabStick measures circuits of a stick, where VLANs tell the directions.
func TestLabStick(t *testing.T) {
	for _, tags := range []struct {
		name  string
		aside bool
	}{{"tags in the packets", false}, {"tags beside the packets", true}} {
		t.Run(tags.name, func(t *testing.T) {
			inCakeLab(t, testenv.LabOptions{Queues: 2 * shaperQueues, Stick: true, TagsAside: tags.aside}, func(s *shaper) {
				s.serve()
				circuits := []labCircuit{{n: 1, ceil: 5}, {n: 2, ceil: 20}, {n: 3, ceil: 100}}
				s.play(s.network(circuits...))
				since := s.tally()
				for _, c := range circuits {
					down, up := c.stream(), c.stream()
					up.Upload = true
					up.Subscriber = testenv.Subscriber6(c.n)
					s.lab.Measure(t, down)
					s.lab.Measure(t, up)
				}
				if n := since.defaults(); n > 100_000 {
					t.Errorf("the default classes sent %d bytes of what belongs to circuits", n)
				}
				s.logDataplane()
			})
		})
	}
}
