package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// probeProgram looks for a program in PATH; pkg is the Debian package that has it.
func probeProgram(name, pkg string) error {
	if _, err := exec.LookPath(name); err != nil {
		return fmt.Errorf("no %s in PATH (Debian package %s)", name, pkg)
	}
	return nil
}

func probeIperf3() error {
	if err := probeProgram("iperf3", "iperf3"); err != nil {
		return err
	}
	return probeProgram("ethtool", "ethtool")
}

// probePython asks python3 for its version: 3.9 is the oldest that the clients in bus/python are written for.
func probePython() error {
	if err := probeProgram("python3", "python3"); err != nil {
		return err
	}
	out, err := exec.Command("python3", "-c", "import sys; print(sys.version.split()[0]); sys.exit(sys.version_info < (3, 9))").CombinedOutput()
	if err != nil {
		return fmt.Errorf("python3 must be 3.9 or newer: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

func probeRoot() error {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Errorf("the effective user id is %d", uid)
	}
	return nil
}

// probeNetns makes a veth pair in a network namespace that lives as long as one ip(8) process.
func probeNetns() error {
	if err := probeProgram("ip", "iproute2"); err != nil {
		return err
	}
	cmd := exec.Command("ip", "link", "add", "lqprobe0", "type", "veth", "peer", "name", "lqprobe1")
	cmd.SysProcAttr = freshNamespaces(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("making a veth pair in a fresh network namespace: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// bpfLoad is the part of union bpf_attr that BPF_PROG_LOAD reads first, as in linux/bpf.h.
type bpfLoad struct {
	progType   uint32
	insnCnt    uint32
	insns      uint64
	license    uint64
	logLevel   uint32
	logSize    uint32
	logBuf     uint64
	kernVers   uint32
	progFlags  uint32
	progName   [16]byte
	progIndex  uint32
	attachType uint32
}

// probeBPF loads the smallest XDP program there is: r0 = XDP_PASS; exit.
func probeBPF() error {
	insns := [...]uint64{0x00000002_000000b7, 0x95} // struct bpf_insn: code, registers, offset, immediate
	license := [...]byte{'G', 'P', 'L', 0}
	attr := bpfLoad{
		progType: unix.BPF_PROG_TYPE_XDP,
		insnCnt:  uint32(len(insns)),
		insns:    uint64(uintptr(unsafe.Pointer(&insns))),
		license:  uint64(uintptr(unsafe.Pointer(&license))),
	}
	fd, errno := uintptr(0), unix.EAGAIN
	for try := 0; errno == unix.EAGAIN && try < 1000; try++ { // a signal ends the verifier: bpf_check in kernel/bpf/verifier.c
		fd, _, errno = unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	}
	runtime.KeepAlive(&insns)
	runtime.KeepAlive(&license)
	if errno != 0 {
		return fmt.Errorf("loading an XDP program: %w", errno)
	}
	return unix.Close(int(fd))
}
