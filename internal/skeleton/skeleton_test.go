package skeleton

import (
	"testing"
	"testing/fstest"

	"lqosd/bakery"
	"lqosd/internal/host"
	"lqosd/internal/lqosconf"
)

// TestLeafRuleOfTheConfiguration: what the keys of lqos.conf, set or not, say about the leaves of batches.
func TestLeafRuleOfTheConfiguration(t *testing.T) {
	fast := 250.0
	for _, tt := range []struct {
		fast *float64
		slow string
		want bakery.LeafRule
	}{
		{nil, lqosconf.SlowPlanExact, bakery.LeafRule{FastMbps: 1000, SlowRTT: bakery.SlowRTTExact}},
		{&fast, lqosconf.SlowPlanUpTo, bakery.LeafRule{FastMbps: 250, SlowRTT: bakery.SlowRTTUpTo}},
	} {
		c := lqosconf.Config{Bridge: &lqosconf.Bridge{ToNetwork: "eth1", ToInternet: "eth0"}}
		c.Queues.FastQueuesFqCodel, c.Bakery.SlowPlanRTT = tt.fast, tt.slow
		if s, _ := Of(c, host.At(fstest.MapFS{})); s.Leaf != tt.want {
			t.Errorf("fast %v, slow %s: %+v, want %+v", tt.fast, tt.slow, s.Leaf, tt.want)
		}
	}
}
