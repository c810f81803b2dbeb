package main

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/eventlog"
)

// largePing is a request for nothing that makes a session large enough to be prepared.
var largePing = `{"Ping":"` + strings.Repeat("x", 20<<10) + `"}`

// someRequests are those of a session about a batch; of some of them something is wrong.
func someRequests(dice *rand.Rand) []string {
	all := []string{batchStart, batchQueues, newSite(1, 3, 100), newSite(2, 4, 50)}
	odd := []string{batchStart, batchStart, batchCommit, batchQueues, mqSetup, `"Ping"`, site(3, 100), newSite(1, 2, 1), newSite(3, 5, 1), newSite(1, 3, 7),
		newCircuit(9, 10, 1, ""), newCircuit(3, 6, -1, ""), newCircuit(3, 6, 1, "192.0.2.300"), newCircuit(3, 6, 1, "192.0.2.20"),
		`"BakeryAddSite"`, `{"BakeryAddSite":{}}`, `{"BakeryAddCircuit":{"circuit_hash":1}}`, `{"BakeryAddNonsense":{}}`}
	for i := range dice.IntN(20) {
		all = append(all, newCircuit(3, 20+i, float64(1+dice.IntN(9)), fmt.Sprintf("192.0.2.%d", 20+i)))
	}
	for range dice.IntN(4) {
		all = slices.Insert(all, dice.IntN(len(all)+1), odd[dice.IntN(len(odd))])
	}
	if dice.IntN(10) == 0 {
		all = all[1:] // without its start
	}
	return append(all, batchCommit)
}

// way is how a session is sent.
type way struct {
	codec  bus.Codec
	last   string // a request that makes it small or large
	single bool   // each request by itself
}

var ways = []way{{bus.JSON, `"Ping"`, false}, {bus.JSON, largePing, false}, {bus.CBOR, largePing, false}, {bus.CBOR, `"Ping"`, true}}

// send begins with the same network, sends, and gives the answers and the place in the log of what came of it.
func (w way) send(p *batchPlace, key string, requests []string) (answers []string, first, last eventlog.Seq) {
	p.t.Helper()
	p.says(p.b, append([]string{mqSetup}, batch(newSite(1, 3, 1), newCircuit(3, 4, 1, ""))...), acks(6)...)
	first = seq(p.t, p.b) + 1
	c := connect(p.t, p.place, w.codec)
	defer c.Close()
	requests = append(slices.Clone(requests), w.last)
	if !w.single {
		return talk(p.t, c, key, requests...), first, seq(p.t, p.b)
	}
	for _, r := range requests {
		answers = append(answers, talk(p.t, c, "", r)...)
	}
	return answers, first, seq(p.t, p.b)
}

// TestPreparedMembers: what a batch says, in answers and in records, is the same whether its members were prepared ahead, which those of
// a large session are, or not.
func TestPreparedMembers(t *testing.T) {
	seed := rand.Uint64()
	dice := rand.New(rand.NewPCG(seed, 0))
	p := newBatchPlace(t)
	var same [][2][2]eventlog.Seq // stretches of the log that must be
	for i := range 40 {
		requests := someRequests(dice)
		var want []string
		var at [2]eventlog.Seq
		for k, w := range ways {
			key := ""
			if i%2 > 0 {
				key = fmt.Sprint(i, k)
			}
			if key != "" && w.single { // a keyed session is one with its requests
				continue
			}
			got, first, last := w.send(p, key, requests)
			if k == 0 {
				want, at = got, [2]eventlog.Seq{first, last}
			}
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, round %d, way %d: %v is answered\n%v, want\n%v", seed, i, k, requests, got, want)
			}
			same = append(same, [2][2]eventlog.Seq{at, {first, last}})
		}
	}
	p.end()
	records, committed := p.records(t, 1), 0
	commands := func(at [2]eventlog.Seq) (all []bakery.Command) {
		for _, r := range records[at[0]-1 : at[1]] {
			all = append(all, r.Command)
		}
		return all
	}
	for _, s := range same {
		want, got := commands(s[0]), commands(s[1])
		if committed += len(got); !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: records from %d on are %v, those from %d on %v", seed, s[1][0], got, s[0][0], want)
		}
	}
	if committed == 0 {
		t.Errorf("seed %d: nothing was committed", seed)
	}
}

// TestPrepare: members alone are prepared, and only those of who may command.
func TestPrepare(t *testing.T) {
	var s bus.Session
	for _, name := range []string{"Ping", "BakeryAddSite", "BakeryAddCircuit"} {
		r, err := bus.NewRequest(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Requests = append(s.Requests, r)
	}
	early, _ := (&conn{right: mayCommand}).Prepare(s).([]*memberRequest)
	if len(early) != 3 || early[0] != nil || early[1].err == nil || early[2].err == nil {
		t.Errorf("prepared: %v", early)
	}
	if got := (&conn{right: mayRead}).Prepare(s); got != nil {
		t.Errorf("prepared for one who may only read: %v", got)
	}
	if got := (&conn{right: mayCommand}).Prepare(bus.Session{Requests: s.Requests[:1]}); got != nil {
		t.Errorf("prepared without members: %v", got)
	}

	// A member among many short requests.
	s.Requests = append(slices.Repeat(s.Requests[:1], 100_000), s.Requests[1])
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	(&conn{right: mayCommand}).Prepare(s)
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / 100_000; n > 16 {
		t.Errorf("%d bytes for each request were allocated", n)
	}
}
