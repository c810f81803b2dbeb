package bus

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// grouping is a handler that takes sessions together and notes what it is told, by the names of the requests.
type grouping struct {
	mu     sync.Mutex
	events []string
	groups []int // sizes
	panics string
}

func (g *grouping) Submit(context.Context, Session) func() []Reply {
	panic("Submit in place of SubmitAll")
}

func (g *grouping) SubmitAll(_ context.Context, sessions []Session) (waits []func() []Reply) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.groups = append(g.groups, len(sessions))
	for _, s := range sessions {
		name := s.Requests[0].Name
		if name == g.panics {
			panic("a bug")
		}
		g.events = append(g.events, name)
		waits = append(waits, func() []Reply { return []Reply{{Name: name}} })
	}
	return waits
}

func (g *grouping) BadDocument(error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.events = append(g.events, "bad")
}

func (g *grouping) Close() {}

// sendTogether writes so many frames at once: a session each, but those that documents has.
func sendTogether(t *testing.T, g *grouping, o Options, n int, documents map[int]string) (names []string) {
	t.Helper()
	o.Accept = func(Peer) (Conn, error) { return g, nil }
	nc := dialRaw(t, serve(t, o))
	var b []byte
	for i := range n {
		doc, ok := documents[i]
		if !ok {
			doc = string(document(t, CBOR, Call{Name: strconv.Itoa(i)}))
		}
		b = appendFrame(b, uint64(i), []byte(doc))
	}
	send(t, nc, b)
	closeWrite(t, nc)
	for i := range n {
		id, payload := receiveFrame(t, nc)
		replies, err := parseAnswer(payload)
		if id != uint64(i) || err != nil {
			t.Fatalf("answer %d has id %d: %v", i, id, err)
		}
		if len(replies) == 0 {
			names = append(names, "none")
			continue
		}
		names = append(names, replies[0].Name)
	}
	return names
}

// Sessions that arrive together are submitted together, and answered in order; what a handler is told of bad documents stands
// between what came before and after.
func TestGroups(t *testing.T) {
	const n = 300
	g := &grouping{}
	got := sendTogether(t, g, Options{}, n, map[int]string{50: "\xff", 60: "\xa1\x68requests\x80", 61: "{", 299: `{"requests":[]}`})
	var want, events []string
	for i := range n {
		switch i {
		case 50, 61:
			want, events = append(want, nameFail), append(events, "bad")
		case 60, 299:
			want = append(want, "none")
		default:
			want, events = append(want, strconv.Itoa(i)), append(events, strconv.Itoa(i))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("answers: %v", got)
	}
	if !slices.Equal(g.events, events) {
		t.Errorf("the handler was told %v", g.events)
	}
	if most := slices.Max(g.groups); most < 2 || most > maxGroup || slices.Min(g.groups) == 0 {
		t.Errorf("groups of %v", g.groups)
	}
}

// A group doesn't wait for room that it takes itself.
func TestGroupsWithinLimits(t *testing.T) {
	for _, o := range []Options{{MaxInflight: 1}, {MaxInflight: 3}, {MaxInflightBytes: 1}, {MaxInflightBytes: 1000}} {
		t.Run(fmt.Sprint(o.MaxInflight, o.MaxInflightBytes), func(t *testing.T) {
			g := &grouping{}
			sendTogether(t, g, o, 200, map[int]string{100: "\xff"})
			if most := slices.Max(g.groups); o.MaxInflight > 0 && most > o.MaxInflight {
				t.Errorf("groups of %v", g.groups)
			}
		})
	}
}

// A panic ends the connection, and nothing of its group is answered.
func TestGroupPanics(t *testing.T) {
	g := &grouping{panics: "5"}
	s := serve(t, Options{Accept: func(Peer) (Conn, error) { return g, nil }})
	nc := dialRaw(t, s)
	var b []byte
	for i := range 10 {
		b = appendFrame(b, uint64(i), document(t, CBOR, Call{Name: strconv.Itoa(i)}))
	}
	send(t, nc, b)
	wantClosed(t, nc)
	s.stop()
	if got := s.Stats(); got.Panics != 1 || s.held.Load() != 0 {
		t.Errorf("stats: %+v, %d bytes are held", got, s.held.Load())
	}
}
