package xdp

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ipv4Packet is an Ethernet frame with an IPv4 packet in it.
func ipv4Packet(from, to string) []byte {
	frame := make([]byte, 64)
	copy(frame, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0})
	ip := frame[14:]
	copy(ip, []byte{0x45, 0, 0, 50, 0, 0, 0, 0, 64, 17})
	copy(ip[12:], netip.MustParseAddr(from).AsSlice())
	copy(ip[16:], netip.MustParseAddr(to).AsSlice())
	return frame
}

// send sends a frame by a link.
func send(t testing.TB, name string, frame []byte) {
	t.Helper()
	l, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	protocol := binary.NativeEndian.Uint16([]byte{8, 0})
	if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: l.Index, Protocol: protocol}); err != nil {
		t.Fatal(err)
	}
}

// verdicts are how many packets were steered, by hook and direction, read from what is pinned.
func (l lab) verdicts() map[string]uint64 {
	l.Helper()
	pins, err := filepath.Glob(filepath.Join(l.options.BPFFS, ourFolder, "*", "v*", bpfMapCounts))
	if err != nil || len(pins) == 0 {
		l.Fatal(pins, err)
	}
	sums := map[string]uint64{}
	for _, pin := range pins {
		counts, err := ebpf.LoadPinnedMap(pin, nil)
		if err != nil {
			l.Fatal(err)
		}
		list, err := readVerdicts(counts)
		if err := errors.Join(err, counts.Close()); err != nil {
			l.Fatal(err)
		}
		for _, v := range list {
			if v.Verdict == "found" || v.Verdict == "cached" || v.Verdict == "carried" {
				sums[v.Hook+" "+v.Direction] += v.Packets
			}
		}
	}
	return sums
}
