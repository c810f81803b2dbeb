package tc

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestCanonicalIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Host{HZ: rapid.SampledFrom([]uint64{0, 1e9, 1000, 250}).Draw(t, "hz")}
		once := Canonical(genState(t, "state"), h)
		twice := Canonical(once, h)
		if d := Diff(once, twice); len(d) != 0 {
			t.Fatal(d)
		}
		if !once.Equal(twice) {
			t.Fatal("differs")
		}
	})
}

func TestCanonicalLeavesTheOriginal(t *testing.T) {
	s := parseState(t, tree)
	Canonical(s, Host{})
	if !s.Equal(parseState(t, tree)) {
		t.Error("Canonical wrote its argument")
	}
}

func TestCanonical(t *testing.T) {
	for name, tt := range map[string]struct{ line, want string }{
		"ceil, bursts and quantum": {"class add dev e0 parent 1: classid 1:7 htb rate 10mbit",
			"class add dev e0 parent 1: classid 1:7 htb rate 10mbit ceil 10mbit burst 1600b cburst 1600b quantum 125000 linklayer ethernet"},
		"whole bytes": {"class add dev e0 parent 1: classid 1:7 htb rate 1000007bit ceil 2000015bit quantum 5",
			"class add dev e0 parent 1: classid 1:7 htb rate 1mbit ceil 2000008bit burst 1600b cburst 1600b quantum 5 linklayer ethernet"},
		"quantum at least 1000": {"class add dev e0 parent 1: classid 1:7 htb rate 10kbit",
			"class add dev e0 parent 1: classid 1:7 htb rate 10kbit ceil 10kbit burst 1600b cburst 1600b quantum 1000 linklayer ethernet"},
		"quantum at most 200000": {"class add dev e0 parent 1: classid 1:7 htb rate 1gbit mtu 9000",
			"class add dev e0 parent 1: classid 1:7 htb rate 1gbit ceil 1gbit burst 9000b cburst 9000b quantum 200000 linklayer ethernet"},
		"a given quantum stays, prio is at most 7": {"class add dev e0 parent 1: classid 1:7 htb rate 1gbit quantum 5000000 prio 12",
			"class add dev e0 parent 1: classid 1:7 htb rate 1gbit ceil 1gbit burst 1500b cburst 1500b prio 7 quantum 5000000 linklayer ethernet"},
		"r2q of the htb": {"class add dev e0 parent 2: classid 2:7 htb rate 10mbit",
			"class add dev e0 parent 2: classid 2:7 htb rate 10mbit ceil 10mbit burst 1600b cburst 1600b quantum 62500 linklayer ethernet"},
		"faster than the clock": {"class add dev e0 parent 1: classid 1:7 htb rate 80gbit quantum 2000",
			"class add dev e0 parent 1: classid 1:7 htb rate 80gbit ceil 80gbit burst 1b cburst 1b quantum 2000 linklayer ethernet"},
		"cake": {"qdisc add dev e0 parent 7fff:3 cake diffserv4 bandwidth 20000001bit",
			"qdisc add dev e0 parent 7fff:3 cake bandwidth 20mbit diffserv4 triple-isolate nonat nowash egress no-ack-filter split-gso rtt 100ms raw noatm overhead 0 mpu 0 memlimit 0b fwmark 0x0"},
		"cake with overhead": {"qdisc add dev e0 parent 7fff:3 cake ethernet",
			"qdisc add dev e0 parent 7fff:3 cake unlimited diffserv3 triple-isolate nonat nowash egress no-ack-filter split-gso rtt 100ms noatm overhead 38 mpu 84 memlimit 0b fwmark 0x0"},
		"fq_codel": {"qdisc add dev e0 parent 7fff:3 fq_codel",
			"qdisc add dev e0 parent 7fff:3 fq_codel limit 10240 flows 1024 quantum 1514 target 5ms interval 100ms memory_limit 32mb ecn drop_batch 64"},
		"codel": {"qdisc add dev e0 parent 7fff:3 codel target 7us",
			"qdisc add dev e0 parent 7fff:3 codel limit 1000 target 7us interval 100ms noecn"},
		"pfifo": {"qdisc add dev e0 parent 7fff:3 pfifo", "qdisc add dev e0 parent 7fff:3 pfifo limit 1000"},
		"bfifo": {"qdisc add dev e0 parent 7fff:3 bfifo", "qdisc add dev e0 parent 7fff:3 bfifo limit 1514000b"},
		"tbf": {"qdisc add dev e0 parent 7fff:3 tbf rate 1mbit burst 10k latency 50ms",
			"qdisc add dev e0 parent 7fff:3 tbf rate 1mbit burst 10kb limit 16490b linklayer ethernet"},
		"sfq":   {"qdisc add dev e0 parent 7fff:3 sfq", "qdisc add dev e0 parent 7fff:3 sfq limit 127 quantum 1514b divisor 1024 flows 127 depth 127"},
		"fq":    {"qdisc add dev e0 parent 7fff:3 fq buckets 100", "fq limit 10000 flow_limit 100 quantum 3028 initial_quantum 15140 low_rate_threshold 550kbit buckets 128 orphan_mask 1023 pacing refill_delay 40ms timer_slack 10000ns horizon 10s horizon_drop"},
		"netem": {"qdisc add dev e0 parent 7fff:3 netem delay 1ms reorder 5%", "netem limit 1000 delay 1ms reorder 5% gap 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := parseState(t, "qdisc add dev e0 root handle 7fff: mq\nqdisc add dev e0 parent 7fff:1 handle 1: htb\n"+
				"qdisc add dev e0 parent 7fff:2 handle 2: htb r2q 20\n"+tt.line)
			if got := strings.Join(Script(Canonical(s, Host{})), "\n"); !strings.Contains(got+"\n", tt.want+"\n") {
				t.Error(cmp.Diff(tt.want, got))
			}
		})
	}
}

func TestCanonicalUsesTheHost(t *testing.T) {
	s := parseState(t, "qdisc add dev e0 root handle 1: htb\nclass add dev e0 parent 1: classid 1:1 htb rate 1gbit")
	c, _ := Canonical(s, Host{HZ: 100}).Class("e0", NewHandle(1, 1))
	if c.HTB.Burst != 125000000/100+1500 { // 1600 are not whole microseconds
		t.Errorf("burst %d at 100 Hz", c.HTB.Burst)
	}
	q, _ := Canonical(parseState(t, "qdisc add dev e0 root fq_codel"), Host{Links: map[string]LinkInfo{"e0": {MTU: 9000}}}).Qdisc("e0", Root)
	if got := q.Options.(FqCodel).Quantum; got != 9014 {
		t.Errorf("quantum %d with an MTU of 9000", got)
	}
}

// Bursts are what `tc -d class show` of Linux 6.18 with iproute2 6.1 shows.
func TestBurstTicks(t *testing.T) {
	for _, tt := range []struct {
		rate  Rate
		size  uint32
		ticks uint32
	}{{20 * Mbit, 1600, 10000}, {1234560 * Kbit, 1600, 156}, {10 * Gbit, 1600, 15}, {100 * Gbit, 1600, 0}, {8, 1600, 1<<32 - 1}, {7, 1600, 0}} {
		if got := (Host{}).BurstTicks(tt.rate, tt.size); got != tt.ticks {
			t.Errorf("BurstTicks(%v, %d) = %d, want %d", tt.rate, tt.size, got, tt.ticks)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		var h Host
		rate := Rate(rapid.Uint64Range(1000, 1e12).Draw(t, "rate")) / 8 * 8
		canonical := h.canonicalBurst(rate, rapid.Uint32Range(1, 1<<24).Draw(t, "size"), 0)
		ticks := h.BurstTicks(rate, canonical)
		if ticks == 1<<32-1 {
			return // longer than the kernel can keep
		}
		if back := h.BurstBytes(rate, ticks); back != canonical {
			t.Fatalf("%d bytes at %v are %d ticks, and those %d bytes", canonical, rate, ticks, back)
		}
	})
}

func TestKernelCodelTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		given := time.Duration(rapid.Uint32().Draw(t, "micros")) * time.Microsecond
		units := int64(given) >> 10                                  // what codel keeps
		reported := time.Duration(units<<10/1000) * time.Microsecond // what it reports
		if got := KernelCodelTime(reported); got != codelTime(given) {
			t.Fatalf("%v is reported as %v, which is %v and not %v", given, reported, got, codelTime(given))
		}
	})
}
