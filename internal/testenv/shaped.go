package testenv

import "testing"

// Shaped is a Stream through a class with a ceil, in Mbit/s.
type Shaped struct {
	Stream
	Ceil float64
}

// offer is how much more than the ceil a UDP stream offers. iperf3 that sends much more takes the processor from the receiver.
const offer = 1.2

// attempts is how often a stream is measured that was too slow.
const attempts = 3

// Measure makes streams, all at once, and wants each to be as fast as its ceil: UDP's frames within 5 %, TCP's payload within 10 %.
// The UDP of a stream is 1 for any rate. What was too slow is measured again, twice: other work on the machine slows streams
// down, and nothing but a broken shaper speeds them up.
func (l *Lab) Measure(t testing.TB, streams ...Shaped) {
	t.Helper()
	l.MeasureWhile(t, func() {}, streams...)
}

// MeasureWhile is [Lab.Measure] with work that is done meanwhile, in every attempt.
func (l *Lab) MeasureWhile(t testing.TB, work func(), streams ...Shaped) {
	t.Helper()
	for attempt := 1; len(streams) > 0; attempt++ {
		streams = l.measure(t, attempt, work, streams)
		if t.Failed() {
			return
		}
	}
}

// measure returns the streams that have to be measured again.
func (l *Lab) measure(t testing.TB, attempt int, work func(), streams []Shaped) []Shaped {
	t.Helper()
	asked := make([]Stream, len(streams))
	for i, s := range streams {
		if asked[i] = s.Stream; s.UDP > 0 {
			asked[i].UDP = s.Ceil * offer
		}
	}
	var received []Received
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		received, err = l.Transfer(t.Context(), asked...)
	}()
	work()
	<-done
	if err != nil {
		t.Logf("attempt %d: %v", attempt, err)
	}
	var again []Shaped
	for i, r := range received {
		s := streams[i]
		verdict := s.verdict(r)
		t.Logf("%-24s ceil %5.1f: %6.2f Mbit/s of payload, %6.2f of frames, %+.1f %%", s.Stream, s.Ceil, r.Goodput(), r.Rate(), 100*s.off(r))
		switch {
		case verdict == slower && attempt < attempts:
			again = append(again, s)
		case verdict != "":
			t.Errorf("%s is %s than its ceil of %v Mbit/s", s.Stream, verdict, s.Ceil)
		}
	}
	return again
}

const faster, slower = "faster", "slower"

// verdict says in which way a stream missed its ceil; empty if it didn't.
func (s Shaped) verdict(r Received) string {
	tolerance := 0.10
	if s.UDP > 0 {
		tolerance = 0.05
	}
	switch off := s.off(r); {
	case off > tolerance:
		return faster
	case off < -tolerance:
		return slower
	}
	return ""
}

// off is how far a stream was from its ceil, as a part of it.
func (s Shaped) off(r Received) float64 {
	if s.UDP > 0 {
		return r.Rate()/s.Ceil - 1
	}
	return r.Goodput()/s.Ceil - 1
}
