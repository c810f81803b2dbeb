package tc

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files anew")

// TestParseErrors shows every message: testdata/errors.txt is the input, one
// line each, and below it, indented, what the user is told.
func TestParseErrors(t *testing.T) {
	const name = "testdata/errors.txt"
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for line := range strings.Lines(string(want)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "#") {
			if strings.HasPrefix(line, "#") {
				fmt.Fprintln(&got, line)
			}
			continue
		}
		op, err := ParseLine(strings.ReplaceAll(line, `\x01`, "\x01"))
		if err == nil {
			t.Errorf("%q is taken as %q", line, op.Line())
		}
		var syntax *SyntaxError
		if errors.Is(err, ErrUnknown) == errors.As(err, &syntax) {
			t.Errorf("%q: %v is neither ErrUnknown nor a SyntaxError, or both", line, err)
		}
		if syntax != nil && syntax.Word != "" && !strings.HasPrefix(syntax.Line[syntax.Offset:], syntax.Word) {
			t.Errorf("%q: word %q is not at %d", line, syntax.Word, syntax.Offset)
		}
		fmt.Fprintf(&got, "%s\n    %v\n", line, err)
	}
	if *update {
		if err := os.WriteFile(name, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(want), got.String()); d != "" {
		t.Error(d)
	}
}

// Every line on the left means the line on the right.
func TestParseLine(t *testing.T) {
	for line, want := range map[string]string{
		"tc qdisc add dev e0 root mq":                             "qdisc add dev e0 root mq",
		"  qdisc\tadd  dev e0 root   mq ":                         "qdisc add dev e0 root mq",
		"q a dev e0 root mq":                                      "qdisc add dev e0 root mq",
		"qd r dev e0 root mq":                                     "qdisc replace dev e0 root mq",
		"qdisc del dev e0 root":                                   "qdisc delete dev e0 root",
		"qdisc d root dev e0":                                     "qdisc delete dev e0 root",
		"qdisc add root handle 7FFF: dev e0 mq":                   "qdisc add dev e0 root handle 7fff: mq",
		"qdisc add handle 0x1 parent 7FFF:0x1 dev e0 htb":         "qdisc add dev e0 parent 7fff:1 handle 1: htb",
		"qdisc add dev e0 parent 0x1:0xA cake rtt 300":            "qdisc add dev e0 parent 1:a cake rtt 300us",
		"qdisc add dev e0 clsact":                                 "qdisc add dev e0 clsact",
		"qdisc add dev e0 handle ffff: ingress":                   "qdisc add dev e0 ingress",
		"qdisc add dev e0 ingress handle ffff:":                   "qdisc add dev e0 ingress",
		"qdisc add clsact dev e0":                                 "qdisc add dev e0 clsact",
		"qdisc add ingress handle ffff: dev e0":                   "qdisc add dev e0 ingress",
		"qdisc del dev e0 parent ffff:fff1":                       "qdisc delete dev e0 parent ffff:fff1",
		"qdisc c dev e0 handle 1: cake nat":                       "qdisc change dev e0 handle 1: cake nat",
		"class add dev e0 parent 0x1: classid 0x3 htb rate 1mbit": "class add dev e0 parent 1: classid 1:3 htb rate 1mbit",
		"class add classid 3 parent 1:2 dev e0 htb rate 1mbit":    "class add dev e0 parent 1:2 classid 1:3 htb rate 1mbit",
		"class add dev e0 parent :2 classid 1:3 htb rate 1mbit":   "class add dev e0 parent 1:2 classid 1:3 htb rate 1mbit",
		"class add dev e0 parent 2 classid 1:3 htb rate 1mbit":    "class add dev e0 parent 1:2 classid 1:3 htb rate 1mbit",
		"class add dev e0 root classid 1:3 htb rate 1mbit":        "class add dev e0 root classid 1:3 htb rate 1mbit",
		"cl c dev e0 classid 1:3 htb rate 1mbit":                  "class change dev e0 classid 1:3 htb rate 1mbit",
		"c d dev e0 parent 1:1 classid 1:3":                       "class delete dev e0 classid 1:3",
		"class add dev e0 parent 1: classid 1:3 htb p 3 q 9 rate 1mbit ceil 2mbit b 9k c 8k o 5 m 1500 l adsl": "class add dev e0 parent 1: classid 1:3 htb rate 1mbit ceil 2mbit burst 9kb cburst 8kb prio 3 quantum 9 mtu 1500 overhead 5 linklayer atm",
		"class add dev e0 parent 1: classid 1:3 htb maxburst 10k/8 cbuffer 5k rate 1mbit":                      "class add dev e0 parent 1: classid 1:3 htb rate 1mbit burst 10kb cburst 5kb",
		"qdisc add dev e0 root htb r 5 de 0x10 debug 123 di 7 o":                                               "qdisc add dev e0 root htb default 10 r2q 5 direct_qlen 7 offload",
	} {
		op, err := ParseLine(line)
		if err != nil || op.Line() != want {
			t.Errorf("%q is taken as %q, %v; want %q", line, op.Line(), err, want)
		}
	}
}

func TestParseOptions(t *testing.T) {
	for words, want := range map[string]string{
		"cake": "", "cake diffserv4": "diffserv4", "cake diffserv4 rtt 300": "diffserv4 rtt 300us",
		"cake bandwidth 20Mbit unlimited":            "unlimited",
		"cake unlimited bandwidth 20Mbit":            "bandwidth 20mbit",
		"cake autorate-ingress bandwidth 20mbit":     "bandwidth 20mbit",
		"cake bandwidth 20mbit autorate-ingress":     "bandwidth 20mbit autorate-ingress",
		"cake datacentre":                            "rtt 100us",
		"cake interplanetary":                        "rtt 1000s",
		"cake diffserv":                              "diffserv4",
		"cake precedence":                            "precedence",
		"cake ethernet ether-vlan ether-vlan":        "overhead 46 mpu 84",
		"cake docsis":                                "noatm overhead 18 mpu 64",
		"cake pppoe-ptm":                             "ptm overhead 30",
		"cake conservative":                          "atm overhead 48",
		"cake overhead 10 raw":                       "raw",
		"cake raw overhead 10":                       "raw overhead 10",
		"cake via-ethernet":                          "",
		"cake fwmark 255 memlimit 32mb mpu 0":        "mpu 0 memlimit 32mb fwmark 0xff",
		"cake ack-filter-aggressive flows nat nonat": "flows nonat ack-filter-aggressive",
		"cake dual-srchost egress no-split-gso":      "dual-srchost egress no-split-gso",
		"fq_codel limit 0x10 memory_limit 4Mb ecn":   "limit 16 memory_limit 4mb ecn",
		"fq timer_slack 100 horizon 10":              "timer_slack 100ns horizon 10us",
		"pfifo limit 10":                             "limit 10",
		"bfifo limit 10k":                            "limit 10kb",
		"tbf ra 5":                                   "!", "tbf rate 1mbit bu 10k la 50ms": "rate 1mbit burst 10kb latency 50ms",
		"netem delay 100 10":                   "delay 100us 10us",
		"netem loss random 5":                  "loss 5%",
		"netem drop 5% 3%":                     "loss 5% 3%",
		"netem loss state 1":                   "loss state 1% 99% 0% 100% 0%",
		"netem loss gemodel 1%":                "loss gemodel 1% 100% 100% 0%",
		"netem slot 800us rate 1mbit -3":       "rate 1mbit -3 slot 800us 800us",
		"netem slot distribution normal 1us 2": "slot distribution normal 1us 2ns",
		"sfq perturb -1 probability 0.5":       "!",
		"htb default 0x1f":                     "default 1f",
		"htb r2q 0":                            "r2q 1",
	} {
		list := strings.Fields(words)
		o, err := ParseOptions(list[0], list[1:])
		if want == "!" {
			if err == nil {
				t.Errorf("%s: taken as %q", words, o)
			}
			continue
		}
		if err != nil || o.Kind() != list[0] || o.String() != want {
			t.Errorf("%s: %q, %v; want %q", words, o, err, want)
		}
	}
	if _, err := ParseOptions("hfsc", nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("hfsc: %v, want ErrUnknown", err)
	}
	for _, args := range [][]string{{"diffserv4 nat"}, {""}, {"nat\n"}, {"rtt"}} {
		var syntax *SyntaxError
		if _, err := ParseOptions("cake", args); !errors.As(err, &syntax) {
			t.Errorf("%q: %v, want a SyntaxError", args, err)
		}
	}
}

// The fixpoint of printing and reading, whatever the line.
func FuzzParseLine(f *testing.F) {
	for _, o := range optionPool {
		f.Add("qdisc add dev eth0 parent 1:5 handle 8001: " + o)
	}
	for _, c := range classPool {
		f.Add("class replace dev eth0 parent 1:1 classid 0x5 htb " + c)
	}
	f.Fuzz(func(t *testing.T, line string) {
		op, err := ParseLine(line)
		if err != nil {
			var syntax *SyntaxError
			if errors.As(err, &syntax) && (syntax.Offset > len(line) || syntax.Why == "") {
				t.Fatalf("%q: error out of bounds: %+v", line, syntax)
			}
			return
		}
		printed := op.Line()
		again, err := ParseLine(printed)
		if err != nil || !sameOp(op, again) {
			t.Fatalf("%q prints %q, which reads back as %q, %v", line, printed, again.Line(), err)
		}
		_ = new(State).Apply(op) // must not panic
	})
}

func BenchmarkParseLine(b *testing.B) {
	for name, line := range map[string]string{
		"class": "class add dev eth1 parent 0x1:0x3 classid 0x4 htb rate 1.0mbit ceil 105.0mbit prio 3 quantum 6297",
		"qdisc": "qdisc add dev eth0 parent 0x1:0x8 cake diffserv4 rtt 300",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseLine(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkApplyClass changes classes of a State with 20,000 of them; clone
// publishes a copy after each.
func BenchmarkApplyClass(b *testing.B) {
	build := func() (*State, []Op) {
		s := new(State)
		ops := []Op{{Qdisc: &Qdisc{Link: "eth0", Handle: NewHandle(1, 0), Parent: Root, Options: HTB{}}}}
		for i := range uint16(20000) {
			parent := NewHandle(1, 0)
			if i >= 100 {
				parent = NewHandle(1, i%100+1)
			}
			ops = append(ops, Op{Verb: Replace, Class: &Class{Link: "eth0", ID: NewHandle(1, i+1), Parent: parent, HTB: HTBClass{Rate: Mbit}}})
		}
		for _, op := range ops {
			if err := s.Apply(op); err != nil {
				b.Fatal(err)
			}
		}
		return s, ops[1:]
	}
	for name, clone := range map[string]bool{"change": false, "clone": true} {
		b.Run(name, func(b *testing.B) {
			s, ops := build()
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				op := ops[i%len(ops)]
				i++
				op.Class.HTB.Rate++
				if err := s.Apply(op); err != nil {
					b.Fatal(err)
				}
				if clone {
					s.Clone()
				}
			}
		})
	}
	b.Run("build", func(b *testing.B) {
		for b.Loop() {
			build()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/20000, "ns/class")
	})
}
