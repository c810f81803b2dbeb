package testenv

import (
	"fmt"
	"os"
	"testing"
)

// Shaped is a Stream through a class with a ceil, in Mbit/s.
type Shaped struct {
	Stream
	Ceil float64
}

// offer is how much more than the ceil a UDP stream offers. iperf3 that sends much more takes the processor from the receiver.
const offer = 1.2

// attempts is how often a stream is measured that misses its ceil.
const attempts = 5

// Measure makes streams, all at once, and wants each to be as fast as its ceil: UDP's frames within 5 %, TCP's payload within 10 %.
// The UDP of a stream is 1 for any rate. If one misses its ceil all are made again, four times at most: other work on the machine slows streams
// down, and TCP's receiver hands over late what waited for a lost frame. A stream that was right once is right.
//
// In a virtual machine a stream may be slower, down to half its ceil: the machine has one CPU, which waits for the host's whenever other tests
// run there, and HTB gives back nothing of what it missed. It must not be faster.
func (l *Lab) Measure(t testing.TB, streams ...Shaped) {
	t.Helper()
	l.MeasureWhile(t, func() {}, streams...)
}

// MeasureWhile is [Lab.Measure] with work that is done meanwhile, each time.
func (l *Lab) MeasureWhile(t testing.TB, work func(), streams ...Shaped) {
	t.Helper()
	wrong := map[Shaped]string{}
	for _, s := range streams {
		wrong[s] = "not measured"
	}
	for attempt := 1; attempt <= attempts && len(wrong) > 0 && !t.Failed(); attempt++ {
		for _, r := range l.transferWhile(t, work, streams) {
			t.Log(r)
			if verdict := r.verdict(slack()); verdict == "" {
				delete(wrong, r.Shaped)
			} else if _, yet := wrong[r.Shaped]; yet {
				wrong[r.Shaped] = verdict
			}
		}
	}
	for s, verdict := range wrong {
		t.Errorf("%s missed its ceil of %v Mbit/s %d times: %s", s.Stream, s.Ceil, attempts, verdict)
	}
}

// measured is what arrived of a stream with a ceil.
type measured struct {
	Shaped
	received Received
}

// transferWhile makes streams and does work at the same time.
func (l *Lab) transferWhile(t testing.TB, work func(), streams []Shaped) []measured {
	t.Helper()
	asked := make([]Stream, len(streams))
	for i, s := range streams {
		if asked[i] = s.Stream; s.UDP > 0 {
			asked[i].UDP = s.Ceil * offer
		}
	}
	var received []Received
	done := make(chan error, 1)
	go func() {
		var err error
		received, err = l.Transfer(t.Context(), asked...)
		done <- err
	}()
	work()
	if err := <-done; err != nil {
		t.Log(err)
	}
	list := make([]measured, len(streams))
	for i, r := range received {
		list[i] = measured{streams[i], r}
	}
	return list
}

// slack is how much slower, as a part of the ceil, a stream may be where the test runs; 0 for what the kind of stream allows.
func slack() float64 {
	if os.Getenv(insideVM) != "" {
		return 0.5
	}
	return 0
}

// verdict says in which way a stream missed its ceil; empty if it didn't.
func (m measured) verdict(slack float64) string {
	tolerance := 0.10
	if m.UDP > 0 {
		tolerance = 0.05
	}
	switch off := m.off(); {
	case off > tolerance:
		return "too fast"
	case off < -max(tolerance, slack):
		return "too slow"
	}
	return ""
}

// off is how far a stream was from its ceil, as a part of it.
func (m measured) off() float64 {
	if m.UDP > 0 {
		return m.received.Rate()/m.Ceil - 1
	}
	return m.received.Goodput()/m.Ceil - 1
}

// String has all figures.
func (m measured) String() string {
	return fmt.Sprintf("%-24s ceil %5.1f: %6.2f Mbit/s of payload, %6.2f of frames, %+.1f %%",
		m.Stream, m.Ceil, m.received.Goodput(), m.received.Rate(), 100*m.off())
}
