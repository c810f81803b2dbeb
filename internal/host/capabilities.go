package host

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Capabilities are those effective capabilities of this process that lqosd asks about (capabilities(7)).
type Capabilities struct {
	NetAdmin bool // CAP_NET_ADMIN: change links, qdiscs and classes
	BPF      bool // CAP_BPF, or CAP_SYS_ADMIN, which includes it: load BPF programs
}

// Capabilities reads the line CapEff of /proc/self/status, a mask in hex.
func (h Host) Capabilities() (Capabilities, error) {
	var mask uint64
	found := false
	var bad error
	err := h.lines("proc/self/status", func(line string) bool {
		value, ok := strings.CutPrefix(line, "CapEff:")
		if ok {
			found = true
			mask, bad = strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		}
		return !found
	})
	switch {
	case err != nil:
		return Capabilities{}, err
	case bad != nil:
		return Capabilities{}, fmt.Errorf("reading CapEff of /proc/self/status: %w", bad)
	case !found:
		return Capabilities{}, fmt.Errorf("reading /proc/self/status: no line CapEff")
	}
	has := func(bit uint) bool { return mask&(1<<bit) != 0 }
	return Capabilities{
		NetAdmin: has(unix.CAP_NET_ADMIN),
		BPF:      has(unix.CAP_BPF) || has(unix.CAP_SYS_ADMIN),
	}, nil
}
