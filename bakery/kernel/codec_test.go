package kernel

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"lqosd/bakery/tc"
)

// TestCodecsRoundTrip: what is encoded from the canonical form is decoded as the same. (A
// kernel reports what it was sent, for most kinds in the same form.)
func TestCodecsRoundTrip(t *testing.T) {
	for _, line := range kindLines {
		for _, q := range canonicalQdiscs(t, kindTree([]string{line})) {
			if o, ok := q.Options.(tc.Tbf); ok && o.Overhead != 0 {
				continue // the kernel adds it to the burst that it reports
			}
			b, err := codecs[q.Options.Kind()].encode(nil, q.Options, encoding{})
			if err != nil {
				t.Errorf("%s: %v", line, err)
			}
			got, err := decodeOptions(q.Options.Kind(), b, tc.Host{})
			if err != nil || got != reported(q.Options) {
				t.Errorf("%s: decoded %v, %v", line, got, err)
			}
		}
	}
}

func canonicalQdiscs(t *testing.T, lines []string) []tc.Qdisc {
	t.Helper()
	var list []tc.Qdisc
	for q := range wanted(t, tc.Host{}, lines...).Qdiscs("v0") {
		list = append(list, q)
	}
	return list
}

// reported is what comes back of options that a kernel turns into something else.
func reported(o tc.Options) tc.Options {
	switch o := o.(type) {
	case tc.Codel:
		o.Target, o.Interval = tc.KernelCodelTime(o.Target), tc.KernelCodelTime(o.Interval)
		o.CEThreshold.Value = tc.KernelCodelTime(o.CEThreshold.Value)
		return o
	case tc.FqCodel:
		o.Target, o.Interval = tc.KernelCodelTime(o.Target), tc.KernelCodelTime(o.Interval)
		o.CEThreshold.Value = tc.KernelCodelTime(o.CEThreshold.Value)
		return o
	}
	return o
}

// TestYoungerKernel: values that package tc doesn't know make a Foreign; attributes that it
// doesn't know are passed over.
func TestYoungerKernel(t *testing.T) {
	whole := func(o tc.Cake) []byte {
		b, err := codecs["cake"].encode(nil, o, encoding{})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	q := canonicalQdiscs(t, kindTree([]string{"cake"}))[0]
	known := whole(q.Options.(tc.Cake))
	if got, err := decodeOptions("cake", append32(known, 99, 7), tc.Host{}); err != nil || got != q.Options {
		t.Errorf("an attribute more: %v, %v", got, err)
	}
	if got, err := decodeOptions("cake", append32(known, cakeDiffserv, 77), tc.Host{}); err != nil || got != tc.Options(tc.Foreign{Name: "cake"}) {
		t.Errorf("a mode more: %v, %v", got, err)
	}
	if got, err := decodeOptions("cake_mq", nil, tc.Host{}); err != nil || got != tc.Options(tc.Foreign{Name: "cake_mq"}) {
		t.Errorf("a kind more: %v, %v", got, err)
	}
}

// TestFlowsArentChanged: fq_codel refuses a change that names the number of flows.
func TestFlowsArentChanged(t *testing.T) {
	o := tc.FqCodel{Flows: 512, Limit: 7}
	for verb, want := range map[tc.Verb]bool{tc.Add: true, tc.Replace: true, tc.Change: false} {
		b, err := encodeFqCodel(nil, o, encoding{verb: verb})
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(b, append32(nil, fqCodelFlows, 512)); got != want {
			t.Errorf("%v: flows are sent: %v", verb, got)
		}
	}
}

// TestTbfSizes: the burst that the kernel reports in ticks is found again.
func TestTbfSizes(t *testing.T) {
	for _, rate := range []tc.Rate{8 * tc.Kbit, 64 * tc.Kbit, 3333333, 20 * tc.Mbit, 37 * tc.Mbit, 125 * tc.Mbit} {
		for _, size := range []uint32{1, 100, 1514, 1600, 10240, 15000, 65535} {
			var h tc.Host
			r := ratespec{rate: rate.BytesPerSecond(), layer: tc.LinkLayerEthernet, overhead: 10}
			ticks := uint64(size+10) * 1e9 / r.rate / 64 // what psched_l2t_ns and PSCHED_NS2TICKS make
			want := h.BurstBytes(rate, h.BurstTicks(rate, size))
			if ticks < 1<<32 && tbfSize(h, r, uint32(ticks)) != want {
				t.Errorf("%v, %d bytes: %d, want %d", rate, size, tbfSize(h, r, uint32(ticks)), want)
			}
		}
	}
}

func TestShortProbability(t *testing.T) {
	for _, p := range []float64{0.02, 0.1, 0.5, 1, 0.123456, 0.999} {
		r, err := newRED(tc.SfqRed{Limit: 100000, Probability: tc.Some(p)})
		if err != nil || shortProbability(r.maxP) != p {
			t.Errorf("%v: %v, %v", p, shortProbability(r.maxP), err)
		}
	}
}

// TestDistribution: the table of iproute2 is found and has as many values as a kernel takes.
func TestDistribution(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TC_LIB_DIR", folder)
	write(t, folder+"/good.dist", "# a comment\n-32768 -1 0\n1 32767\n")
	write(t, folder+"/bad.dist", "1 x\n")
	write(t, folder+"/empty.dist", "# nothing\n")
	write(t, folder+"/large.dist", strings.Repeat("1 ", maxDistribution+1))
	b, err := appendDistribution(nil, netemDelayDist, "good")
	if err != nil || !bytes.Equal(b, appendBytes(nil, netemDelayDist, []byte{0, 0x80, 0xff, 0xff, 0, 0, 1, 0, 0xff, 0x7f})) {
		t.Errorf("encoded %x, %v", b, err)
	}
	for _, name := range []string{"bad", "empty", "large", "none", "../good/x"} {
		if _, err := appendDistribution(nil, netemDelayDist, name); err == nil {
			t.Errorf("%s has no error", name)
		}
	}
	o := tc.Netem{Delay: time.Millisecond, Jitter: time.Millisecond, Distribution: "good"}
	if b, err := encodeNetem(nil, o, encoding{}); err != nil || !bytes.Contains(b, []byte{0, 0x80, 0xff, 0xff}) {
		t.Errorf("encoded %x, %v", b, err)
	}
}
