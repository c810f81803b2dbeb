package testenv

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// shape gives both links of the shaper HTBs as the daemon builds them, with tc(8): the n-th subscriber has the n-th ceil, in
// both directions, which a filter finds by the address.
func shape(t *testing.T, l *Lab, ceils ...int) {
	t.Helper()
	w := wiring{t: t}
	for _, link := range []struct{ name, end string }{{l.ToInternet, "src"}, {l.ToNetwork, "dst"}} {
		w.command("tc qdisc add dev " + link.name + " root handle 7fff: mq")
		for queue := 1; queue <= 2; queue++ {
			on := func(format string, args ...any) {
				w.command(fmt.Sprintf("tc "+format, args...))
			}
			on("qdisc add dev %s parent 7fff:%d handle %d: htb default 2", link.name, queue, queue)
			on("class add dev %s parent %d: classid %d:1 htb rate 1gbit quantum 60000", link.name, queue, queue)
			on("class add dev %s parent %d:1 classid %d:2 htb rate 100mbit ceil 999mbit prio 5 quantum 60000", link.name, queue, queue)
			for i, ceil := range ceils {
				class := fmt.Sprintf("%d:1%d", queue, i+1)
				on("class add dev %s parent %d:1 classid %s htb rate %dmbit ceil %dmbit prio 3 quantum 1522", link.name, queue, class, ceil/2, ceil)
				on("qdisc add dev %s parent %s pfifo limit %d", link.name, class, max(100, ceil*10))
				on("filter add dev %s parent %d: protocol ip prio 1 u32 match ip %s %s flowid %s", link.name, queue, link.end, Subscriber(i+1), class)
				on("filter add dev %s parent %d: protocol ipv6 prio 2 u32 match ip6 %s %s flowid %s", link.name, queue, link.end, Subscriber6(i+1), class)
			}
		}
	}
}

// TestLab has a shaper that is nobody's but the kernel's: what the lab measures is what tc(8) asked for.
func TestLab(t *testing.T) {
	InNetns(t, func(t *testing.T) {
		Need(t, TC)
		l := NewLab(t, LabOptions{})
		shape(t, l, 20, 20)
		idle, err := l.PingIdle(t.Context(), Subscriber6(1))
		if err != nil || idle.Lost > 0 {
			t.Fatal(idle, err)
		}
		t.Logf("idle: %v", idle)

		var saturated RoundTrips
		l.MeasureWhile(t, func() {
			<-time.After(time.Second) // TCP has filled the queue by then
			var r RoundTrips
			if r, err = l.PingSaturated(t.Context(), Subscriber(1), defaultTime-1500*time.Millisecond, 20); err != nil {
				t.Error(err)
			}
			t.Logf("saturated: %v", r)
			if r.Percentile(50) > saturated.Percentile(50) {
				saturated = r
			}
		},
			Shaped{Stream{Subscriber: Subscriber(1)}, 20},
			Shaped{Stream{Subscriber: Subscriber6(2), Upload: true, UDP: 1}, 20})
		if least := 5 * idle.Percentile(50); saturated.Percentile(50) < least {
			t.Errorf("echoes behind a queue took %v; want %v at least", saturated, least)
		}

		nobody := Stream{Subscriber: Subscriber(subscribers + 1)}
		if _, err := l.Transfer(t.Context(), nobody); err == nil || !strings.Contains(err.Error(), "iperf3 down TCP 203.0.113.33: ") {
			t.Errorf("a transfer to an address that nobody has: %v", err)
		} else {
			t.Log(err)
		}
	})
}

// TestVerdict has streams that are faster and slower than they should be.
func TestVerdict(t *testing.T) {
	for _, tc := range []struct {
		name   string
		stream Shaped
		got    float64 // Mbit/s of payload
		want   verdict
	}{
		{"UDP is right", Shaped{Stream{Subscriber: Subscriber(1), UDP: 1}, 10}, 9.72, right},
		{"UDP is slow", Shaped{Stream{Subscriber: Subscriber(1), UDP: 1}, 10}, 9.2, tooSlow},
		{"UDP is fast", Shaped{Stream{Subscriber: Subscriber(1), UDP: 1}, 10}, 10.3, tooFast},
		{"TCP is right", Shaped{Stream{Subscriber: Subscriber6(1)}, 10}, 9.1, right},
		{"TCP is slow", Shaped{Stream{Subscriber: Subscriber6(1)}, 10}, 8.9, tooSlow},
		{"TCP is fast", Shaped{Stream{Subscriber: Subscriber6(1)}, 10}, 11.1, tooFast},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := Received{Stream: tc.stream.Stream, Intervals: []Interval{
				{0, time.Second, 1e9}, // doesn't count
				{1005 * time.Millisecond, 2 * time.Second, int64(tc.got * 1e6 / 8 * 0.995)},
				{2 * time.Second, 4050 * time.Millisecond, int64(tc.got * 1e6 / 8 * 2.05)},
				{4050 * time.Millisecond, 6 * time.Second, 7}, // the sender has ended
			}}
			if got := (measured{tc.stream, r}).verdict(); got != tc.want {
				t.Errorf("verdict %q, want %q: %.2f, %.2f", got, tc.want, r.Goodput(), r.Rate())
			}
		})
	}
}

// TestRecord has what a stream was, attempt by attempt, and whether it is measured again.
func TestRecord(t *testing.T) {
	for _, tc := range []struct {
		verdicts []verdict
		open     bool
	}{
		{nil, true},
		{[]verdict{right}, false},
		{[]verdict{tooSlow, tooSlow, tooSlow, tooSlow, tooSlow}, true},
		{[]verdict{tooSlow, tooSlow, right}, false},
		{[]verdict{tooFast}, true},
		{[]verdict{tooFast, right}, true}, // it may have been slowed down to that
		{[]verdict{tooFast, right, right}, false},
		{[]verdict{tooFast, right, tooFast, right, tooSlow}, true},
	} {
		var r record
		for _, v := range tc.verdicts {
			r.add(v)
		}
		if r.open() != tc.open {
			t.Errorf("after %q: open = %v, want %v", tc.verdicts, r.open(), tc.open)
		}
	}
}
