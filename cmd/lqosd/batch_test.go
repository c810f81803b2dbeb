package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/bus"
)

const (
	batchStart  = `"BakeryStart"`
	batchCommit = `"BakeryCommit"`
	batchQueues = `{"BakeryMqSetup":{"queues_available":2,"stick_offset":0}}`
)

// newSite states a site below a queue, newCircuit a circuit below a site of queue 1: of one rate, in both directions.
func newSite(queue, minor int, mbps float64) string {
	return fmt.Sprintf(`{"BakeryAddSite":{"site_hash":%d,"parent_class_id":%d,"up_parent_class_id":%[2]d,"class_minor":%d,`+
		`"download_bandwidth_min":1,"upload_bandwidth_min":1,"download_bandwidth_max":%g,"upload_bandwidth_max":%[4]g}}`, -minor, queue<<16, minor, mbps)
}

func newCircuit(parent, minor int, mbps float64, addresses string) string {
	return fmt.Sprintf(`{"BakeryAddCircuit":{"circuit_hash":%d,"circuit_name":null,"site_name":null,"parent_class_id":%d,"up_parent_class_id":%[2]d,`+
		`"class_minor":%[1]d,"download_bandwidth_min":1,"upload_bandwidth_min":1,"download_bandwidth_max":%[3]g,"upload_bandwidth_max":%[3]g,`+
		`"class_major":1,"up_class_major":1,"ip_addresses":%[4]q,"sqm_override":null}}`, minor, 1<<16+parent, mbps, addresses)
}

// stats is the answer of GetBakeryStats.
func stats(n int) string { return fmt.Sprintf(`{"BakeryActiveCircuits":%d}`, n) }

// acks are n patterns of Ack.
func acks(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = ackText
	}
	return all
}

// batchPlace is a daemon in file mode, with two clients.
type batchPlace struct {
	place
	t    *testing.T
	a, b *bus.Client
	end  func()
}

func newBatchPlace(t *testing.T) *batchPlace {
	t.Helper()
	noLeaks(t)
	p := newPlace(t, "example")
	end := p.serveHere(t)
	return &batchPlace{p, t, connect(t, p, bus.CBOR), connect(t, p, bus.JSON), end}
}

// says wants these answers to one session.
func (p *batchPlace) says(c *bus.Client, requests []string, patterns ...string) {
	p.t.Helper()
	expect(p.t, talk(p.t, c, "", requests...), patterns...)
}

// holds wants so many records, and so many circuits of the newest.
func (p *batchPlace) holds(records, circuits int) {
	p.t.Helper()
	if got := seq(p.t, p.b); got != eventlogSeq(uint64(records)) {
		p.t.Errorf("%d records, want %d", got, records)
	}
	expect(p.t, talk(p.t, p.b, "", `"GetBakeryStats"`), stats(circuits))
}

// batch is a whole batch as one session.
func batch(members ...string) []string {
	return append(append([]string{batchStart, batchQueues}, members...), batchCommit)
}

// TestBatchOfAnotherConnection: a batch is its connection's: a client that leaves takes it along, and two clients at a time
// have one each. The last commit states the network.
func TestBatchOfAnotherConnection(t *testing.T) {
	p := newBatchPlace(t)
	p.says(p.a, batch(newSite(1, 3, 100), newCircuit(3, 4, 10, "192.0.2.4")), acks(5)...)
	p.holds(1, 1)

	leaver := connect(t, p.place, bus.CBOR)
	p.says(leaver, []string{batchStart, batchQueues, newSite(1, 9, 100), newCircuit(9, 10, 10, "192.0.2.10")}, acks(4)...)
	if err := leaver.Close(); err != nil {
		t.Fatal(err)
	}
	p.says(p.b, []string{batchCommit}, `{"Fail":"there is no batch on this connection: BakeryStart comes first"}`)
	p.holds(1, 1)

	// Interleaved.
	p.says(p.a, []string{batchStart}, ackText)
	p.says(p.b, []string{batchStart, batchQueues}, acks(2)...)
	p.says(p.a, []string{batchQueues, newSite(1, 3, 50)}, acks(2)...)
	p.says(p.b, []string{newSite(1, 3, 200), newCircuit(3, 5, 20, "192.0.2.5"), newCircuit(3, 6, 20, "192.0.2.6")}, acks(3)...)
	p.says(p.a, []string{newCircuit(3, 4, 11, "192.0.2.4")}, ackText)
	p.holds(1, 1)
	p.says(p.b, []string{batchCommit}, ackText)
	p.holds(2, 2)
	p.says(p.a, []string{batchCommit}, ackText)
	p.holds(3, 1)
	p.says(p.a, []string{batchCommit}, `{"Fail":"there is no batch.*"}`) // the commit ended it
	p.end()
	tree := p.tree(t)
	for id, there := range map[string]bool{"1:3": true, "1:4": true, "1:5": false, "1:6": false, "1:9": false, "1:a": false} {
		c, ok := class(t, tree, "eth0", id)
		if ok != there {
			t.Errorf("class %s: %v, want %v", id, ok, there)
		}
		if want := map[string]float64{"1:3": 50, "1:4": 11}[id]; c.HTB.Ceil.Mbps() != want {
			t.Errorf("class %s has ceil %v Mbit/s, want %v", id, c.HTB.Ceil.Mbps(), want)
		}
	}
	if n := tree.MappingCount(); n != 1 {
		t.Errorf("%d mappings, want 1", n)
	}
}

// TestBatchSteps: what belongs to a batch and comes without one; a second start; other commands meanwhile.
func TestBatchSteps(t *testing.T) {
	p := newBatchPlace(t)
	none := `{"Fail":"there is no batch on this connection: BakeryStart comes first"}`
	p.says(p.a, []string{newSite(1, 3, 100), newCircuit(3, 4, 10, ""), batchCommit, `"Ping"`}, none, none, none, ackText)
	p.holds(0, 0)
	p.says(p.a, []string{batchQueues, site(3, 100), circuit(3, 4, 10)}, acks(3)...)
	p.holds(3, 1)
	p.says(p.a, []string{batchQueues}, ackText) // outside of a batch it resets
	p.holds(4, 0)

	// A second start drops what the first batch had, and what was wrong with it.
	p.says(p.a, []string{batchStart, batchQueues, newSite(1, 3, 100), newCircuit(9, 2, 10, "")}, ackText, ackText, ackText,
		`{"Fail":"circuit 2: class_minor 2: 0, 1 and 2 are the queue's own"}`)
	p.says(p.a, batch(newSite(1, 7, 100), newCircuit(7, 8, 10, "")), acks(5)...)
	p.holds(5, 1)

	// Other commands take effect at once, and the commit has the last word.
	p.says(p.a, []string{batchStart, batchQueues, newSite(1, 7, 100)}, acks(3)...)
	p.says(p.a, []string{circuit(7, 9, 10), circuit(7, 10, 10), `{"MapIpToFlow":{"ip_address":"192.0.2.9","tc_handle":65545,"cpu":0,"upload":false}}`}, acks(3)...)
	p.holds(8, 3)
	p.says(p.a, []string{newCircuit(7, 9, 10, ""), batchCommit, `"GetBakeryStats"`}, ackText, ackText, stats(1))
	p.holds(9, 1)
	p.says(p.a, []string{`"ListIpFlow"`}, `{"MappedIps":\[{.*"ip_address":"192.0.2.9".*}\]}`)
	// One without fields is a reset of its own, and the batch goes on. A stated address has its circuit's hash for an id.
	p.says(p.a, []string{batchStart, mqSetup, newSite(1, 7, 100), newCircuit(7, 9, 10, "192.0.2.9"), `"GetBakeryStats"`}, ackText, ackText, ackText, ackText, stats(0))
	p.says(p.a, []string{batchCommit, `"ListIpFlow"`}, ackText, `{"MappedIps":\[{.*"circuit_id":9,.*}\]}`)
	p.holds(11, 1)
	p.says(p.a, batch(), acks(3)...)
	p.holds(12, 0)
	p.says(p.a, []string{`"ListIpFlow"`}, `{"MappedIps":\[\]}`)

	// A batch without queues has those of before; one with other queues than its first is refused.
	p.says(p.a, []string{batchStart, newSite(2, 3, 1), batchCommit}, acks(3)...)
	p.says(p.a, []string{batchStart, batchQueues, strings.Replace(batchQueues, "2", "3", 1), batchCommit}, ackText, ackText,
		`{"Fail":"BakeryMqSetup: the batch has one with other values"}`, `{"Fail":"the batch is refused, 1 of its 2 items can't be: item 2, .*"}`)
	p.says(p.a, []string{batchStart, newSite(3, 3, 1), batchCommit}, ackText, ackText, `{"Fail":"item 1, site -3: class 3:3: eth1 has no such queue: the majors of that direction are 1 to 2"}`)
	p.holds(13, 0)
}

// TestRefusedBatch: a commit names all that is wrong, and changes nothing; what can't be read refuses it, too.
func TestRefusedBatch(t *testing.T) {
	p := newBatchPlace(t)
	p.says(p.a, batch(newSite(1, 3, 100), newCircuit(3, 4, 10, "192.0.2.4")), acks(5)...)
	before := p.tcFile(t)

	answers := talk(t, p.a, "", batch(newSite(1, 3, 100), newSite(1, 3, 7), newCircuit(3, 4, -1, ""), newCircuit(3, 5, 10, "192.0.2.300"),
		newCircuit(3, 6, 10, "192.0.2.6"), newCircuit(3, 7, 10, "192.0.2.7, 192.0.2.6/32"), strings.Replace(newCircuit(3, 8, 10, ""), `"sqm_override":null`, `"sqm_override":"cake nonsense"`, 1))...)
	fails := 0
	for _, a := range answers[2 : len(answers)-1] {
		if strings.HasPrefix(a, `{"Fail":`) {
			fails++
		}
	}
	if fails != 5 {
		t.Errorf("%d items are refused at once, want 5: %q", fails, answers)
	}
	reason := answers[len(answers)-1]
	for _, want := range []string{`refused, 5 of its 8 items can't be: item 3, site -3: class 1:3 belongs to site -3\n`, `item 4, circuit 4: rate -1 Mbit/s: negative`,
		`item 5, circuit 5: .*192\.0\.2\.300`, `item 7, circuit 7: 192\.0\.2\.6/32 belongs to circuit 6`, `item 8, circuit 8: sqm_override: `} {
		if !regexp.MustCompile(strings.ReplaceAll(want, `\n`, `\\n`)).MatchString(reason) {
			t.Errorf("want %s in %s", want, reason)
		}
	}
	// What only the whole batch shows.
	p.says(p.a, batch(newSite(1, 3, 100), newCircuit(9, 5, 10, ""), newCircuit(3, 6, 10, ""), newCircuit(6, 7, 10, "")), ackText, ackText, ackText, ackText, ackText, ackText,
		`{"Fail":"the batch is refused, 2 of its 5 items can't be: item 3, circuit 5: parent 1:9: there is no such site\\nitem 5, circuit 7: parent 1:6 is no site: it is circuit 6"}`)
	p.says(p.a, batch(strings.Replace(newSite(1, 3, 1), `_id":65536`, `_id":65540`, 2), strings.Replace(newSite(1, 4, 1), `_id":65536`, `_id":65539`, 2)),
		ackText, ackText, ackText, ackText, `{"Fail":"the batch is refused.*below itself"}`)

	// What can't be read.
	for bad, why := range map[string]string{
		`{"BakeryAddCircuit":{"circuit_hash":1}}`:  `BakeryAddCircuit: decoding BakeryAddCircuit: field`,
		`{"BakeryAddNonsense":{}}`:                 `BakeryAddNonsense: unknown request`,
		`{"BakeryMqSetup":{"queues_available":1}}`: `BakeryMqSetup: .*stick_offset`,
	} {
		p.says(p.a, batch(newSite(1, 3, 100), bad), ackText, ackText, ackText, `{"Fail":".*"}`, `{"Fail":"the batch is refused, 1 of its \d items can't be: item 3, `+why+`.*"}`)
	}
	w := dialWire(t, p.place)
	for _, bad := range []string{`{"requests":["BakeryStart"`, `{"requests":[{"A":1,"B":2}]}`, `{"key":7,"requests":[]}`} {
		for i, document := range []string{`{"requests":["BakeryStart",` + newSite(1, 3, 5) + `]}`, bad, `{"requests":["BakeryCommit","Ping"]}`} {
			w.send(frame(uint64(i), []byte(document)))
		}
		for i, want := range []string{`^{"responses":\["Ack","Ack"\]}`, `Fail`, `^{"responses":\[{"Fail":"the batch is refused, 1 of its 2 items can't be: item 2, .*"},"Ack"\]}`} {
			_, payload, err := w.answer()
			if err != nil || !regexp.MustCompile(want).Match(payload) {
				t.Errorf("%s: answer %d is %s, %v", bad, i+1, payload, err)
			}
		}
	}
	p.holds(1, 1)
	if p.tcFile(t) != before {
		t.Error("a refused batch wrote lines")
	}
	// None of that is left.
	p.says(p.a, batch(newSite(1, 3, 100)), acks(4)...)
	p.holds(2, 0)
}

// class looks a class up in a Tree.
func class(t testing.TB, tree *bakery.Tree, link, id string) (tc.Class, bool) {
	t.Helper()
	h, err := tc.ParseHandle(id)
	if err != nil {
		t.Fatal(err)
	}
	return tree.State().Class(link, h)
}
