package kernel

import (
	"os"
	"strings"
	"testing"

	"lqosd/bakery/tc"
)

func TestParsePsched(t *testing.T) {
	for text, want := range map[string]tc.Host{
		"000003e8 00000040 000f4240 3b9aca00\n": {HZ: 1e9, TickNanos: 64},
		"000003e8 00000400 000f4240 000003e8\n": {HZ: 1000, TickNanos: 1024}, // no high-resolution timers
		"":                                      {},
		"000003e8 00000040":                     {},
		"00000000 00000040 000f4240 3b9aca00":   {},
		"000003e8 00000040 000f4241 3b9aca00":   {},
		"x y z w":                               {},
	} {
		if got := parsePsched(text); got.HZ != want.HZ || got.TickNanos != want.TickNanos {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

// TestIdentity: it has this boot and this namespace in it, and another namespace another.
func TestIdentity(t *testing.T) {
	outside, err := readIdentity()
	if err != nil {
		t.Fatal(err)
	}
	if boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil && !strings.HasPrefix(outside, strings.TrimSpace(string(boot))) {
		t.Errorf("identity %q lacks the boot id %s", outside, boot)
	}
	// The process in the namespace runs this, too: it finds what the one outside set.
	const variable = "LQOSD_TEST_IDENTITY_OUTSIDE"
	if os.Getenv(variable) == "" {
		t.Setenv(variable, outside)
	}
	inLab(t, func(l lab) {
		if id := l.kernel.Identity(); id == os.Getenv(variable) || !strings.Contains(id, "/net:[") {
			t.Errorf("identity %q inside, %q outside", id, os.Getenv(variable))
		}
	})
}
