package testenv

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Capability is something that a test may need and a host may lack. Its text is the word used in LQOSD_REQUIRE.
type Capability string

// The capabilities that tests of this repository know.
const (
	Root   Capability = "root"   // the process is root
	Netns  Capability = "netns"  // may create network namespaces and veth links in them; ip(8) is there
	TC     Capability = "tc"     // tc(8) is there
	BPF    Capability = "bpf"    // may load BPF programs
	Iperf3 Capability = "iperf3" // iperf3(1) and ethtool(8) are there
	Python Capability = "python" // python3(1) is there, 3.9 or newer
	FUSE   Capability = "fuse"   // may mount file systems through /dev/fuse, as root or with fusermount3(1)
	Ext4   Capability = "ext4"   // root; may make an ext4 file system in a file, and mount that through a loop device
	Strace Capability = "strace" // strace(1) may follow processes and make their system calls fail
	VM     Capability = "vm"     // may boot linux.uml of Debian's package user-mode-linux; modprobe(8) is there

	// E2fsprogs: mkfs.ext4(8), e2fsck(8) and debugfs(8) are there, which make, recover and read an ext4 file system in a file, for anybody.
	E2fsprogs Capability = "e2fsprogs"

	Mandoc Capability = "mandoc" // mandoc(1) is there, which finds what is wrong in manual pages

	Systemd Capability = "systemd" // systemd(1), systemctl(1) and systemd-analyze(1) are there, whether systemd runs or not
)

// probes holds one probe per capability: nil means there, an error says why not. A probe runs once per process.
var probes = map[Capability]func() error{
	Root:   probeRoot,
	Netns:  sync.OnceValue(probeNetns),
	TC:     sync.OnceValue(func() error { return probeProgram("tc", "iproute2") }),
	BPF:    sync.OnceValue(probeBPF),
	Iperf3: sync.OnceValue(probeIperf3),
	Python: sync.OnceValue(probePython),
	FUSE:   sync.OnceValue(probeFUSE),
	Ext4:   sync.OnceValue(probeExt4),
	Strace: sync.OnceValue(probeStrace),
	VM:     sync.OnceValue(probeVM),

	E2fsprogs: sync.OnceValue(probeE2fsprogs),

	Mandoc: sync.OnceValue(func() error { return probeProgram("mandoc", "mandoc") }),

	Systemd: sync.OnceValue(probeSystemd),
}

// Need skips t unless this host has all the capabilities. A missing one that LQOSD_REQUIRE lists fails t instead.
// With -short every capability counts as missing, but for those that LQOSD_REQUIRE lists.
func Need(t testing.TB, needed ...Capability) {
	t.Helper()
	required, err := parseRequired(os.Getenv("LQOSD_REQUIRE"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range needed {
		probe, ok := probes[c]
		if !ok {
			t.Fatalf("testenv: no capability is called %q", c)
		}
		isRequired := slices.Contains(required, c)
		if testing.Short() && !isRequired {
			t.Skipf("-short leaves out what needs %s", c)
		}
		switch err := probe(); {
		case err == nil:
		case isRequired:
			t.Fatalf("LQOSD_REQUIRE lists %s, and this host lacks it: %v", c, err)
		default:
			t.Skipf("this host lacks %s: %v", c, err)
		}
	}
}

// Long skips t with -short. The reason says what is long about it, or big.
func Long(t testing.TB, reason string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("-short leaves this out: %s", reason)
	}
}

// parseRequired reads the value of LQOSD_REQUIRE. A word that is no capability is an error: a typing mistake there
// would quietly require nothing.
func parseRequired(list string) ([]Capability, error) {
	var required []Capability
	for word := range strings.SplitSeq(list, ",") {
		c := Capability(strings.TrimSpace(word))
		if c == "" {
			continue
		}
		if _, ok := probes[c]; !ok {
			return nil, fmt.Errorf("LQOSD_REQUIRE: no capability is called %q", c)
		}
		required = append(required, c)
	}
	return required, nil
}
