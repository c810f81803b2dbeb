package kernel

import (
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
)

// flight is a batch of requests that goes out with one sendto, and the answers to them.
type flight struct {
	requests []netlink.Message
	data     []byte         // theirs
	which    []int          // the op of each of them
	makes    map[place]bool // the classes that they make or change

	first   uint32 // sequence number
	answers []answer
	waiting int           // for so many answers
	sent    chan struct{} // closed when sendto has returned
	err     error         // of sendto: the kernel took nothing
}

func newFlight() *flight { return &flight{makes: map[place]bool{}} }

// reset makes it an empty one, of which the memory is used again.
func (f *flight) reset() {
	f.requests, f.data, f.which, f.err = f.requests[:0], f.data[:0], f.which[:0], nil
	clear(f.makes)
}

// take takes an answer, if it is one to a request of the flight.
func (f *flight) take(m netlink.Message) {
	i := m.Header.Sequence - f.first // of another one: more than there are
	if m.Header.Type == netlink.Error && uint64(i) < uint64(len(f.answers)) && !f.answers[i].known {
		f.answers[i].known = true
		f.answers[i].errno, f.answers[i].text = verdict(m)
		f.waiting--
	}
}

// airport sends flights, one after the other, and collects the answers. One of which the answers are still to be read may be out
// while the kernel works for the next.
type airport struct {
	kernel *Kernel
	out    *flight      // sent or being sent, and not collected
	queue  chan *flight // to the goroutine that sends; nil: there is none, and each is sent at once
	crew   sync.WaitGroup
	lost   bool // answers to flights that aren't collected got lost
}

// open begins to send beside all else, if there is more than one flight to come. Call done when it is over.
func (a *airport) open(many bool) (done func()) {
	if !many {
		return func() {}
	}
	a.queue = make(chan *flight)
	a.crew.Go(func() {
		for f := range a.queue {
			a.send(f)
		}
	})
	return func() {
		close(a.queue)
		a.crew.Wait()
	}
}

func (a *airport) send(f *flight) {
	f.err = a.kernel.mail.sendFrom(f.first, f.requests)
	close(f.sent)
}

// depart sends a flight, and gives the one before with all its answers; nil: there is none.
func (a *airport) depart(f *flight) (landed *flight) {
	f.first = a.kernel.mail.number(len(f.requests))
	f.answers, f.waiting, f.sent = slices.Grow(f.answers[:0], len(f.requests))[:len(f.requests)], len(f.requests), make(chan struct{})
	clear(f.answers)
	landed = a.out
	if a.out = f; a.queue == nil {
		a.send(f)
	} else {
		a.queue <- f
	}
	if landed != nil {
		a.collect(landed)
	}
	return landed
}

// land gives the last flight with all its answers; nil: there is none.
func (a *airport) land() (landed *flight) {
	landed, a.out = a.out, nil
	if landed != nil {
		a.collect(landed)
		a.lost = false
	}
	return landed
}

// collect waits for the answers to a flight. It doesn't heed a context: what was sent has been done when
// sendto returns, and then the answers are there, but for those that didn't fit into the buffer.
func (a *airport) collect(f *flight) {
	<-f.sent
	if f.err != nil { // the kernel took nothing
		for i := range f.answers {
			f.answers[i] = answer{known: true, err: f.err}
		}
		return
	}
	if f.waiting == 0 {
		return
	}
	k := a.kernel
	err := k.conn.SetReadDeadline(time.Now().Add(k.limits.answer))
	if err == nil {
		var lost bool
		lost, err = k.mail.read(!a.lost, func(m netlink.Message) bool {
			f.take(m)
			if a.out != nil && a.out != f {
				a.out.take(m) // answers of f were lost
			}
			return f.waiting == 0
		})
		a.lost = a.lost || lost
	}
	for i := range f.answers {
		if !f.answers[i].known {
			f.answers[i].err = err
		}
	}
}
