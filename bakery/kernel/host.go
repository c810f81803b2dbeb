package kernel

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
)

// readHost reads /proc/net/psched; where it is hidden the result is zero, which stands for
// what every current kernel has.
func readHost() tc.Host {
	text, err := os.ReadFile("/proc/net/psched")
	if err != nil {
		return tc.Host{}
	}
	return parsePsched(string(text))
}

// parsePsched reads the four hex numbers of psched_show (sch_api.c): ns per µs, ns per tick,
// 10^6, and the frequency of the timers. The third says what the others are measured by
// (get_hz in iproute2's utils.c).
func parsePsched(text string) tc.Host {
	var n [4]uint64
	fields := strings.Fields(text)
	if len(fields) < len(n) {
		return tc.Host{}
	}
	for i := range n {
		v, err := strconv.ParseUint(fields[i], 16, 32)
		if err != nil {
			return tc.Host{}
		}
		n[i] = v
	}
	if n[0] == 0 || n[1] == 0 || n[2] != 1e6 {
		return tc.Host{}
	}
	return tc.Host{HZ: n[3], TickNanos: 1000 * n[1] / n[0]}
}

// readIdentity names this boot of the kernel and the network namespace of the process. Where
// /proc/sys is hidden the minute of the boot stands for the boot id.
func readIdentity() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		var up unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
			return "", fmt.Errorf("reading the boot id: %w", err)
		}
		at := time.Now().Add(-time.Duration(up.Nano())).Round(time.Minute)
		boot = []byte(at.UTC().Format(time.RFC3339))
	}
	var ns unix.Stat_t
	if err := unix.Stat("/proc/self/ns/net", &ns); err != nil {
		return "", fmt.Errorf("reading the network namespace: %w", err)
	}
	return fmt.Sprintf("%s/net:[%d]", strings.TrimSpace(string(boot)), ns.Ino), nil
}

// tickNanos is the length of a tick in ns.
func tickNanos(host tc.Host) uint64 { return cmp.Or(host.TickNanos, 64) }
