package bus

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// preparing is a grouping that prepares sessions, each to its name, and notes what it is asked.
type preparing struct {
	grouping
	wait func(name string) // in Prepare

	prepared []string // in the order of their beginnings
	busy     int      // of Prepare
	found    []any    // what was Prepared of those that were submitted
	closed   chan struct{}
	early    bool // Close came while something was busy
}

func newPreparing(wait func(name string)) *preparing {
	return &preparing{wait: wait, closed: make(chan struct{})}
}

func (p *preparing) Prepare(s Session) any {
	p.note(func() { p.busy++; p.prepared = append(p.prepared, s.Requests[0].Name) })
	defer p.note(func() { p.busy-- })
	p.wait(s.Requests[0].Name)
	return s.Requests[0].Name
}

func (p *preparing) SubmitAll(ctx context.Context, sessions []Session) []func() []Reply {
	p.note(func() {
		p.early = p.early || p.isClosed()
		for _, s := range sessions {
			p.found = append(p.found, s.Prepared)
		}
	})
	return p.grouping.SubmitAll(ctx, sessions)
}

func (p *preparing) Close() { p.note(func() { p.early = p.early || p.busy > 0; close(p.closed) }) }

func (p *preparing) note(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *preparing) isClosed() bool {
	select {
	case <-p.closed:
		return true
	default:
		return false
	}
}

// told is what the handler was asked to prepare, and what it was told, so far.
func (p *preparing) told() (prepared, events []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.prepared), slices.Clone(p.events)
}

func (p *preparing) accept(Peer) (Conn, error) { return p, nil }

// sized is a document with blanks behind it.
func sized(document string, size int) []byte {
	return []byte(document + strings.Repeat(" ", max(0, size-len(document))))
}

// largeFrames are frames of large documents, one request each, named by numbers.
func largeFrames(from, to int) (wire []byte) {
	for i := from; i < to; i++ {
		wire = appendFrame(wire, uint64(i), sized(fmt.Sprintf(`{"requests":["%d"]}`, i), aheadFrom))
	}
	return wire
}

func numbers(n int) (all []string) {
	for i := range n {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

// In whatever mix documents come, each is submitted once, in order, with what was prepared of it, and answered in order.
func TestAheadOrder(t *testing.T) {
	sizes := append(slices.Repeat([]int{0, aheadFrom, 0, aheadFrom - 1, 2 * aheadFrom}, 30), aheadTo, aheadTo+1)
	rapid.Check(t, func(r *rapid.T) {
		p := newPreparing(func(string) {})
		s := serve(t, Options{Accept: p.accept, MaxInflight: rapid.IntRange(1, 5).Draw(r, "MaxInflight"),
			MaxInflightBytes: rapid.SampledFrom([]int64{1, 3 * aheadFrom, 64 << 20}).Draw(r, "MaxInflightBytes")})
		nc := dialRaw(t, s)
		var wire []byte
		var answers, events []string
		var found []any
		for i := range rapid.IntRange(1, 16).Draw(r, "documents") {
			name, size := strconv.Itoa(i), rapid.SampledFrom(sizes).Draw(r, "size")
			var doc []byte
			switch kind := rapid.SampledFrom([]string{"json", "keyed", "cbor", "cbor", "none", "bad"}).Draw(r, "kind"); kind {
			case "none":
				doc, answers = sized(`{"requests":[]}`, size), append(answers, kind)
			case "bad":
				doc, answers, events = sized(`{"requests"`, size), append(answers, nameFail), append(events, kind)
			case "json", "keyed":
				key := map[string]string{"keyed": `"key":"k",`}[kind]
				doc = sized(fmt.Sprintf(`{%s"requests":["%s"]}`, key, name), size)
			case "cbor":
				doc = document(t, CBOR, Call{name, strings.Repeat("x", size)})
			}
			if len(answers) == i { // one that is submitted
				answers, events = append(answers, name), append(events, name)
				var want any
				if len(doc) >= aheadFrom && len(doc) <= aheadTo {
					want = name
				}
				found = append(found, want)
			}
			wire = appendFrame(wire, uint64(i), doc)
		}
		_, _ = nc.Write(wire) // fails where the connection ended, which shows in the answers
		_ = nc.CloseWrite()
		frames := newFrameReader(nc, func(bool) {})
		for i, want := range answers {
			id, payload, err := frames.next()
			if err != nil {
				r.Fatalf("answer %d: %v", i, err)
			}
			replies, err := parseAnswer(payload)
			if id != uint64(i) || err != nil || len(replies) == 0 != (want == "none") || len(replies) > 0 && replies[0].Name != want {
				r.Fatalf("answer %d has id %d: %v, %v; want %s", i, id, replies, err, want)
			}
		}
		s.stop()
		if !slices.Equal(p.events, events) || !slices.Equal(p.found, found) || p.early {
			r.Fatalf("the handler was told %v with %v, want %v with %v; closed early: %t", p.events, p.found, events, found, p.early)
		}
		if n := s.held.Load(); n != 0 {
			r.Fatalf("%d bytes are held", n)
		}
	})
}

// While the first is being prepared, so many behind it are; they wait for it, and a small one behind them waits, too. What they hold
// counts already.
func TestAheadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := newPreparing(func(name string) {
			if name == "0" {
				<-release
			}
		})
		s, l, stop := servePipe(t, Options{Accept: p.accept})
		defer stop()
		nc := shakenPipe(t, l)
		defer nc.Close()
		go func() { _, _ = nc.Write(appendFrame(largeFrames(0, 7), 7, []byte(`{"requests":["7"]}`))) }()
		synctest.Wait()
		prepared, events := p.told()
		if slices.Sort(prepared); !slices.Equal(prepared, numbers(maxAhead)) || len(events) > 0 {
			t.Errorf("prepared: %v, submitted: %v", prepared, events)
		}
		if n, least := s.held.Load(), int64(maxAhead*(aheadFrom+requestCost)+aheadFrom); n < least {
			t.Errorf("%d bytes are held, want %d", n, least)
		}
		close(release)
		for i := range 8 {
			if id, _ := receiveFrame(t, nc); id != uint64(i) {
				t.Errorf("answer %d has id %d", i, id)
			}
		}
		if _, events := p.told(); !slices.Equal(events, numbers(8)) {
			t.Errorf("submitted: %v", events)
		}
		synctest.Wait()
		if n := s.held.Load(); n != 0 {
			t.Errorf("%d bytes are held", n)
		}
	})
}

// A document is answered though the next has only begun.
func TestAheadAnswersEarly(t *testing.T) {
	nc := dialRaw(t, serve(t, Options{Accept: newPreparing(func(string) {}).accept}))
	if err := nc.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	wire := largeFrames(0, 3)
	for i := range 3 {
		end := min(len(wire), (2*i+3)*len(wire)/6) // in the middle of the next
		begin := (2*i + 1) * len(wire) / 6
		if i == 0 {
			begin = 0
		}
		send(t, nc, wire[begin:end])
		if id, _ := receiveFrame(t, nc); id != uint64(i) {
			t.Errorf("answer %d has id %d", i, id)
		}
	}
}

// However a connection ends while documents are being prepared: what came before a hang-up or the server's end is submitted,
// nothing is after a panic or an abort; Close comes last, and nothing is held.
func TestAheadEnds(t *testing.T) {
	for name, tt := range map[string]struct {
		end    func(*Server, net.Conn, func())
		panics string // in Prepare
		submit string // panics
		all    bool   // are submitted
		counts int64  // panics
	}{
		"hang-up":          {end: func(_ *Server, nc net.Conn, _ func()) { nc.Close() }, all: true},
		"server's end":     {end: func(_ *Server, _ net.Conn, stop func()) { go stop() }, all: true},
		"abort":            {end: func(s *Server, _ net.Conn, _ func()) { s.abort() }},
		"panic in Prepare": {panics: "2", counts: 1},
		"panics":           {panics: "1 2", counts: 2},
		"panic in Submit":  {submit: "0", counts: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const sent = maxAhead + 2 // one of them waits for room, and one isn't read
				first, others := make(chan struct{}), make(chan struct{})
				p := newPreparing(func(name string) {
					switch {
					case strings.Contains(tt.panics, name):
						<-first
						panic("a bug")
					case name == "0":
						<-first
					default:
						<-others
					}
				})
				p.panics = tt.submit
				s, l, stop := servePipe(t, Options{Accept: p.accept})
				stop = sync.OnceFunc(stop)
				defer stop()
				nc := shakenPipe(t, l)
				defer nc.Close()
				if n, _ := nc.Write(largeFrames(0, maxAhead)); n == 0 {
					t.Fatal("nothing was sent")
				}
				go func() { _, _ = nc.Write(largeFrames(maxAhead, sent)) }()
				synctest.Wait()
				if tt.end != nil {
					tt.end(s, nc, stop)
				}
				synctest.Wait()
				close(first)
				synctest.Wait()
				if p.isClosed() {
					t.Error("closed while something is prepared")
				}
				go func() { _, _ = nc.Read(make([]byte, 1<<20)) }()
				close(others)
				<-p.closed
				stop()
				_, events := p.told()
				if tt.all && !slices.Equal(events[:min(maxAhead, len(events))], numbers(maxAhead)) || !tt.all && len(events) > 1 {
					t.Errorf("submitted: %v", events)
				}
				if got := s.Stats(); got.Panics != tt.counts || got.Open != 0 || s.held.Load() != 0 || p.early || slices.Contains(events, "bad") {
					t.Errorf("stats: %+v, %d bytes are held, told: %v, closed early: %t", got, s.held.Load(), events, p.early)
				}
			})
		})
	}
}

// A document that isn't known to hold few requests is counted first, and one that is doesn't hold more.
func TestBeginsWithFew(t *testing.T) {
	const requests = "\xa1\x68requests"
	body := strings.Repeat("\x64Ping", 5000)
	for _, tt := range []struct {
		doc string
		few bool
		n   int // that are read; -1: it is refused
	}{
		{requests + "\x99\x13\x88" + body, true, 5000},
		{requests + "\x9a\x00\x00\x13\x88" + body, true, 5000},
		{requests + "\x9b\x00\x00\x00\x00\x00\x00\x13\x88" + body, false, 5000},
		{requests + "\x9f" + body + "\xff", false, 5000},
		{requests + "\x98\x20" + strings.Repeat("\x64Ping", 32), true, 32},
		{"\xbf\x68requests\x99\x13\x88" + body + "\xff", false, 5000},
		{"\xa2\x68requests\x99\x13\x88" + body + "\x63key\x61k", false, 5000},
		{"\xa1\x78\x08requests\x99\x13\x88" + body, false, 5000},
		// Counts that are wrong.
		{requests + "\x99\x13\x87" + body, true, -1},
		{requests + "\x99\x13\x89" + body, true, -1},
		{requests + "\x80" + body, true, -1},
		{requests + "\x9a\xff\xff\xff\xff" + body, false, -1},
		{requests + "\x9a\x80\x00\x00\x00" + body, false, -1},
		{requests + "\x99\x13", false, -1},
		{requests + "\x9a\x00\x00\x13", false, -1},
		{requests, false, -1},
		// More than there is room for; a second list behind a short first one; the same field twice.
		{requests + "\x99\x30\x00" + strings.Repeat("\x60", 0x3000), false, -1},
		{requests + "\x99\x13\x88" + body + requests[1:] + "\x99\x30\x00" + strings.Repeat("\x60", 0x3000), true, -1},
		{"\xa2\x68requests\x99\x13\x88" + body + requests[1:] + "\x99\x30\x00" + strings.Repeat("\x60", 0x3000), false, -1},
		{"\xa2\x68requests\x80" + requests[1:] + "\x99\x30\x00" + strings.Repeat("\x60", 0x3000), false, -1},
	} {
		begins := fmt.Sprintf("% x…, %d bytes", tt.doc[:min(20, len(tt.doc))], len(tt.doc))
		if few := beginsWithFew([]byte(tt.doc)); few != tt.few {
			t.Errorf("%s: few: %t", begins, few)
		}
		var s Session
		var err error
		all := allocated(func() { s, _, err = parse([]byte(tt.doc)) })
		if n := len(s.Requests); (err != nil) != (tt.n < 0) || n != max(0, tt.n) {
			t.Errorf("%s: %d requests, %v", begins, n, err)
		}
		if most := uint64(heldPerByte*len(tt.doc) + 64<<10); all > most {
			t.Errorf("%s: %d bytes were allocated, want %d", begins, all, most)
		}
	}
}
