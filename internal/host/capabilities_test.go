package host

import "testing"

func TestCapabilities(t *testing.T) {
	for _, tc := range []struct {
		name, status string
		want         Capabilities
		fails        bool
	}{
		{"root", "Name:\tx\nCapEff:\t000001ffffffffff\n", Capabilities{NetAdmin: true, BPF: true}, false},
		{"nobody", "CapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n", Capabilities{}, false},
		{"net admin", "CapEff:\t0000000000001000\n", Capabilities{NetAdmin: true}, false},
		{"bpf", "CapEff:\t0000008000000000\n", Capabilities{BPF: true}, false},
		{"sys admin", "CapEff:\t0000000000200000\n", Capabilities{BPF: true}, false},
		{"no hex", "CapEff:\tmany\n", Capabilities{}, true},
		{"no line", "Name:\tx\n", Capabilities{}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := files(map[string]string{"proc/self/status": tc.status}).Capabilities()
			if got != tc.want || (err != nil) != tc.fails {
				t.Errorf("Capabilities() = %+v, %v; want %+v, error %v", got, err, tc.want, tc.fails)
			}
		})
	}
	if _, err := files(nil).Capabilities(); err == nil {
		t.Error("no /proc, and no error")
	}
}
