package kernel

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestShaped(t *testing.T) {
	inLab(t, func(l lab) {
		check := func(want ...string) {
			l.Helper()
			got, err := l.kernel.Shaped(l.Context())
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				l.Errorf("error %v, links (-want +got):\n%s", err, diff)
			}
		}
		run(l, "", "ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1")
		run(l, "", "ip", "link", "set", "d0", "up")
		l.batch("qdisc replace dev v0 root handle 7fff: mq", "qdisc replace dev v1 root pfifo")
		check("v0")
		l.batch("qdisc replace dev v1 root handle 1: htb", "qdisc replace dev d0 root handle 1: htb")
		check("d0", "v0", "v1")
		l.reset("v1")
		check("d0", "v0")
	})
}
