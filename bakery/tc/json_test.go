package tc

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What tc(8) prints for kinds that the build machines' kernel lacks, after the
// print functions of iproute2, and classes as it prints them from 6.10 on.
const jsonQdiscs = `[
{"kind":"mq","handle":"7fff:","root":true,"options":{}},
{"kind":"fq_codel","handle":"0:","parent":"7fff:4","options":{"limit":10240}},
{"kind":"htb","handle":"1:","parent":"7fff:1","options":{"r2q":10,"default":"0x2","direct_packets_stat":0,"direct_qlen":1000}},
{"kind":"cake","handle":"8001:","parent":"1:5","options":{"bandwidth":2500000,"diffserv":"diffserv4","flowmode":"dual-dsthost",
 "nat":true,"wash":false,"ingress":true,"ack-filter":"enabled","split_gso":true,"rtt":300,"raw":false,"atm":"ptm","overhead":-4,
 "mpu":64,"memlimit":33554432,"fwmark":"0xff"}},
{"kind":"cake","handle":"8002:","parent":"1:6","options":{"bandwidth":"unlimited","diffserv":"diffserv3","flowmode":"triple-isolate",
 "nat":false,"wash":false,"ingress":false,"ack-filter":"disabled","split_gso":true,"rtt":100000,"raw":true,"overhead":0,"fwmark":"0"}},
{"kind":"fq_codel","handle":"8003:","parent":"1:7","options":{"limit":10240,"flows":1024,"quantum":1514,"target":4999,"interval":99999,
 "memory_limit":33554432,"ecn":true,"drop_batch":64}},
{"kind":"codel","handle":"8004:","parent":"1:8","options":{"limit":1000,"target":4999,"interval":99999,"ce_threshold":999}},
{"kind":"fq","handle":"8005:","parent":"1:9","options":{"limit":10000,"flow_limit":100,"buckets":1024,"orphan_mask":1023,"quantum":3028,
 "initial_quantum":15140,"low_rate_threshold":68750,"refill_delay":40000,"timer_slack":10000,"horizon":10000000,"horizon_drop":null}},
{"kind":"sfq","handle":"8006:","parent":"1:a","options":{"limit":127,"quantum":1514,"depth":127,"flows":127,"divisor":1024,"perturb":10}},
{"kind":"clsact","handle":"ffff:","parent":"ffff:fff1","options":{}}
]`

const jsonClasses = `[
{"class":"mq","handle":"7fff:1","root":true,"leaf":"0x1"},
{"class":"htb","handle":"1:5","parent":"1:1","leaf":"0x8001","prio":3,"quantum":1522,"rate":154320000,"ceil":154320000,"linklayer":"ethernet",
 "burst":1388,"burst_cell":1,"mpu_rate":0,"cburst":1388,"cburst_cell":1,"mpu_ceil":0,"level":0},
{"class":"htb","handle":"1:1","root":true,"rate":1250000000,"ceil":1250000000,"linklayer":"ethernet","burst":0,"cburst":0,"level":7},
{"class":"htb","handle":"1:6","root":true,"prio":0,"quantum":12500,"rate":125000,"ceil":125000,"burst":1600,"cburst":1600},
{"class":"htb","handle":"1:7","root":true,"prio":0,"quantum":12500,"rate":125000,"ceil":125000,"burst":1600,"cburst":1600},
{"class":"htb","handle":"1:8","root":true,"prio":0,"quantum":12500,"rate":125000,"ceil":125000,"burst":1600,"cburst":1600},
{"class":"htb","handle":"1:9","root":true,"prio":0,"quantum":12500,"rate":125000,"ceil":125000,"burst":1600,"cburst":1600},
{"class":"htb","handle":"1:a","root":true,"prio":0,"quantum":12500,"rate":125000,"ceil":125000,"burst":1600,"cburst":1600}
]`

const jsonMeans = `
qdisc replace dev e0 root handle 7fff: mq
qdisc add dev e0 parent 7fff:1 handle 1: htb default 2 direct_qlen 1000
class add dev e0 parent 1: classid 1:1 htb rate 10gbit
class add dev e0 parent 1:1 classid 1:5 htb rate 1234560kbit prio 3 quantum 1522
class add dev e0 parent 1: classid 1:6 htb rate 1mbit
class add dev e0 parent 1: classid 1:7 htb rate 1mbit
class add dev e0 parent 1: classid 1:8 htb rate 1mbit
class add dev e0 parent 1: classid 1:9 htb rate 1mbit
class add dev e0 parent 1: classid 1:a htb rate 1mbit
qdisc add dev e0 parent 1:5 handle 8001: cake bandwidth 20mbit diffserv4 dual-dsthost nat ingress ack-filter rtt 300us ptm overhead -4 mpu 64 memlimit 32mb fwmark 0xff
qdisc add dev e0 parent 1:6 handle 8002: cake
qdisc add dev e0 parent 1:7 handle 8003: fq_codel
qdisc add dev e0 parent 1:8 handle 8004: codel ce_threshold 1ms
qdisc add dev e0 parent 1:9 handle 8005: fq
qdisc add dev e0 parent 1:a handle 8006: sfq perturb 10
qdisc add dev e0 clsact`

func TestParseJSON(t *testing.T) {
	s, err := ParseJSON(strings.NewReader(jsonQdiscs), strings.NewReader(jsonClasses), "e0")
	if err != nil {
		t.Fatal(err)
	}
	want := Script(Canonical(parseState(t, jsonMeans), Host{}))
	if d := cmp.Diff(want, Script(Canonical(s, Host{}))); d != "" {
		t.Error(d)
	}
}

func TestParseJSONParts(t *testing.T) {
	s, err := ParseJSON(nil, strings.NewReader(jsonClasses), "e0")
	if err != nil || s.ClassCount("e0") != 7 {
		t.Errorf("classes alone: %d, %v", s.ClassCount("e0"), err)
	}
	s, err = ParseJSON(strings.NewReader(`[{"kind":"pfifo","handle":"1:","dev":"e1","root":true,"options":{"limit":5}}]`), nil, "")
	if q, ok := s.Qdisc("e1", Root); err != nil || !ok || q.Options != (Pfifo{Limit: Some[uint32](5)}) {
		t.Errorf("qdiscs alone: %+v, %v", q, err)
	}
	if s, err := ParseJSON(strings.NewReader(""), strings.NewReader(" \n"), "e0"); err != nil || s.Len() != 0 {
		t.Errorf("nothing: %v", err)
	}
}

func TestParseJSONUnknown(t *testing.T) {
	const qdiscs = `[{"kind":"hfsc","handle":"1:","root":true,"options":{}},
{"kind":"pfifo","handle":"2:","parent":"1:5","options":{"limit":5}},
{"kind":"clsact","handle":"ffff:","parent":"ffff:fff1","options":{}}]`
	s, err := ParseJSON(strings.NewReader(qdiscs), nil, "e0")
	if !errors.Is(err, ErrUnknown) || s == nil || s.Len() != 1 {
		t.Errorf("%v, want ErrUnknown and the clsact", err)
	}
}

func TestParseJSONRefuses(t *testing.T) {
	for name, qdiscs := range map[string]string{
		"no JSON":       `qdisc mq 7fff: root`,
		"no link":       `[{"kind":"mq","handle":"7fff:","root":true,"dev":"a b"}]`,
		"bad handle":    `[{"kind":"mq","handle":"zz:","root":true}]`,
		"bad parent":    `[{"kind":"mq","handle":"1:","parent":"zz"}]`,
		"bad number":    `[{"kind":"pfifo","handle":"1:","root":true,"options":{"limit":"x"}}]`,
		"bad diffserv":  `[{"kind":"htb","handle":"1:","root":true,"options":5}]`,
		"no parent":     `[{"kind":"pfifo","handle":"1:","parent":"5:1","options":{"limit":1}}]`,
		"handle twice":  `[{"kind":"mq","handle":"1:","root":true},{"kind":"htb","handle":"1:","parent":"1:1"}]`,
		"bad linklayer": `[{"kind":"tbf","handle":"1:","root":true,"options":{"rate":5,"linklayer":"ppp"}}]`,
	} {
		if s, err := ParseJSON(strings.NewReader(qdiscs), nil, "e0"); err == nil || s != nil {
			t.Errorf("%s: taken", name)
		}
	}
	for _, classes := range []string{`[{`, `[{"class":"htb","handle":"x","root":true}]`, "class htb 1:1 root rate x"} {
		if s, err := ParseJSON(nil, strings.NewReader(classes), "e0"); err == nil || s != nil {
			t.Errorf("%s: taken", classes)
		}
	}
}
