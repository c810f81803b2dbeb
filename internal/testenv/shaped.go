package testenv

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Shaped is a Stream through a class with a ceil, in Mbit/s.
type Shaped struct {
	Stream
	Ceil float64
}

// offer is how much more than the ceil a UDP stream offers. iperf3 that sends much more takes the processor from the receiver.
const offer = 1.2

// attempts is how often a stream is measured that misses its ceil. An attempt in which the machine stalled, and that found no stream but
// such as were right or too slow, is a part of one.
const (
	attempts          = 8
	disturbedAttempts = 4
)

// limit counts attempts.
type limit struct{ parts int }

func (l *limit) left() bool { return l.parts < attempts*disturbedAttempts }

// count counts an attempt with what its streams were, and for how long the machine stalled in it.
func (l *limit) count(verdicts []verdict, stalls, span time.Duration) {
	if stalls*100 > span && !slices.Contains(verdicts, tooFast) {
		l.parts++
		return
	}
	l.parts += disturbedAttempts
}

// Measure makes streams, all at once, and wants each to be as fast as its ceil: UDP's frames within 5 %, TCP's payload within 10 %.
// The UDP of a stream is 1 for any rate. If one misses its ceil all are made again, seven times at most: other work on the machine
// slows streams down. (Attempts in which the machine stalls count a quarter.) So a stream that was right once isn't too slow, but one that was too fast must be right more often than
// that: it may have been slowed down to its ceil. (TCP can be too fast by chance, as its receiver hands over late what waited for a
// lost frame.)
func (l *Lab) Measure(t testing.TB, streams ...Shaped) {
	t.Helper()
	l.MeasureWhile(t, func() {}, streams...)
}

// MeasureWhile is [Lab.Measure] with work that is done meanwhile, each time.
func (l *Lab) MeasureWhile(t testing.TB, work func(), streams ...Shaped) {
	t.Helper()
	if t.Failed() { // one reason is enough
		return
	}
	records := make([]record, len(streams))
	var made limit
	for attempt := 1; made.left() && slices.ContainsFunc(records, record.open) && !t.Failed(); attempt++ {
		l.urgent.Store(attempt%2 == 1)
		began, stalls := time.Now(), startStallMeter()
		list := l.transferWhile(t, work, streams)
		stalled, span := stalls.end(), time.Since(began)
		var verdicts []verdict
		for i, r := range list {
			t.Log(r)
			verdicts = append(verdicts, r.verdict())
			records[i].add(r.verdict())
		}
		t.Logf("the machine stalled for %v of %v", stalled.Round(time.Millisecond), span.Round(time.Millisecond))
		made.count(verdicts, stalled, span)
	}
	for i, r := range records {
		if r.open() {
			t.Errorf("%s missed its ceil of %v Mbit/s: %v", streams[i].Stream, streams[i].Ceil, r)
		}
	}
}

// record is how often a stream was found to be what.
type record struct{ right, fast, slow int }

func (r *record) add(v verdict) {
	switch v {
	case right:
		r.right++
	case tooFast:
		r.fast++
	case tooSlow:
		r.slow++
	}
}

// open says that the stream wasn't shown yet to be right.
func (r record) open() bool { return r.right <= r.fast }

func (r record) String() string {
	return fmt.Sprintf("%d times right, %d times too fast, %d times too slow", r.right, r.fast, r.slow)
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

// verdict is the way in which a stream missed its ceil.
type verdict string

const (
	right   verdict = "right"
	tooFast verdict = "too fast"
	tooSlow verdict = "too slow"
)

func (m measured) verdict() verdict {
	tolerance := 0.10
	if m.UDP > 0 {
		tolerance = 0.05
	}
	switch off := m.off(); {
	case off > tolerance:
		return tooFast
	case off < -tolerance:
		return tooSlow
	}
	return right
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
