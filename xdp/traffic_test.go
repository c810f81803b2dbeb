package xdp

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"lqosd/bakery/tc"
)

// TestSweep: counters go ten minutes after the last steer that had the circuit, and start anew when one has it again.
func TestSweep(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		l.steer(p, someSteers, nil)
		send(l.T, "v1", ipv4Packet("192.0.2.1", "100.64.0.1"))
		steps := []struct {
			minute int
			change func()
			want   int // counters
		}{
			{0, func() {}, 1},
			{20, func() { l.steer(p, nil, someSteers) }, 1},
			{29, func() { l.steer(p, someSteers, nil) }, 1}, // moved
			{30, func() { l.steer(p, nil, someSteers) }, 1},
			{39, func() {}, 1},
			{40, func() {}, 0},
		}
		start := time.Now()
		for _, s := range steps {
			s.change()
			if err := p.sweep(l.Context(), start.Add(time.Duration(s.minute)*time.Minute)); err != nil {
				l.Fatal(err)
			}
			if traffic, err := p.Traffic(l.Context()); err != nil || len(traffic) != s.want {
				l.Errorf("in minute %d: %v %v", s.minute, traffic, err)
			}
		}
	})
}

// TestStatus: what it says, and that it is JSON.
func TestStatus(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		l.steer(p, someSteers, nil)
		for range 2 {
			send(l.T, "v1", ipv4Packet("192.0.2.1", "100.64.0.1"))
		}
		send(l.T, "v0", ipv4Packet("100.64.0.1", "192.0.2.1"))
		send(l.T, "v0", ipv4Packet("100.64.9.9", "192.0.2.1"))
		s := l.status(p)
		for _, want := range []Verdict{
			{"egress", "down", "found", 1, 64}, {"egress", "down", "cached", 1, 64}, {"egress", "up", "found", 1, 64}, {"egress", "up", "unknown", 1, 64},
		} {
			if !slices.Contains(s.Verdicts, want) {
				l.Errorf("no %v in %v", want, s.Verdicts)
			}
		}
		if !slices.ContainsFunc(s.Maps, func(m MapStatus) bool {
			return m.Name == bpfMapPrefixes && m.Entries == 3 && m.Max >= 1<<19 && m.ID > 0
		}) {
			l.Errorf("%+v", s.Maps)
		}
		if !s.CPUs.Redirect || s.CPUs.Online < 1 || s.CPUs.Why != "" {
			l.Errorf("%+v", s.CPUs)
		}
		if s.Links[0].Queues.Tx != 2 || s.Links[0].Queues.Why != "" {
			l.Errorf("%+v", s.Links[0])
		}
		traffic, err := p.Traffic(l.Context())
		if err != nil || len(traffic) != 1 || traffic[0].Circuit != 7 || traffic[0].Down.Packets != 2 || traffic[0].Up.Bytes != 64 {
			l.Errorf("%+v %v", traffic, err)
		}
		text, err := json.Marshal(s)
		if err != nil || !strings.Contains(string(text), `"links":[{"link":"v0","role":"internet"`) {
			l.Errorf("%s %v", text, err)
		}
		l.steer(p, nil, []tc.Steer{someSteers[0]})
		l.wantSteers(p, someSteers[1:])
		p.steering.Lock() // as while others write: Status doesn't wait
		defer p.steering.Unlock()
		if n := l.status(p).Maps; n[1].Entries != 2 {
			l.Errorf("%+v", n)
		}
	})
}

// TestVerdictNames: there is one for each.
func TestVerdictNames(t *testing.T) {
	if len(verdicts) != int(bpfVerdictVERDICTS) || slices.Contains(verdicts, "") {
		t.Errorf("%q", verdicts)
	}
}

// TestParseCPUs reads what the kernel writes.
func TestParseCPUs(t *testing.T) {
	for text, want := range map[string][]uint32{"0": {0}, "0-3": {0, 1, 2, 3}, "0,2-3,7": {0, 2, 3, 7}} {
		if got, err := parseCPUs(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %v %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "a", "1-", "-1", "1,,2"} {
		if got, err := parseCPUs(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}
