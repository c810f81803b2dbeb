package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// insideNetns is set in the environment of a process that [InNetns] started.
const insideNetns = "LQOSD_TEST_INSIDE_NETNS"

// InNetns runs body in a process of its own, with a fresh network namespace in which only lo exists, and it is up.
// /sys is that of the new namespace.
//
// It is a process, not a locked thread, because the code under test starts goroutines, and a goroutine may run on any
// thread: on a thread of the host's namespace it would change the host's links. The process is this test binary, told
// to run t and nothing else; what t does before InNetns runs in both processes, so call InNetns first.
// Without root it also makes a user namespace, in which the test is root. t is skipped where [Netns] is missing.
func InNetns(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(insideNetns) != "" {
		body(t)
		return
	}
	Need(t, Netns)

	args := childArgs(os.Args[1:], t.Name())
	if deadline, ok := t.Deadline(); ok { // a second earlier than the parent, so that its goroutines are reported
		args = append(args, "-test.timeout="+max(time.Second, time.Until(deadline)-time.Second).String())
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	// The race detector waits a second at exit for late reports; a tenth does.
	cmd.Env = append(os.Environ(), insideNetns+"=1", "GORACE=atexit_sleep_ms=100 "+os.Getenv("GORACE"))
	cmd.SysProcAttr = freshNamespaces(unix.CLONE_NEWNET | unix.CLONE_NEWNS)
	out, err := cmd.CombinedOutput()
	report(t, "in a network namespace of its own", string(out), err)
}

// report passes on the verdict of the process that ran t, where it ran. A process that printed no verdict ran nothing: a
// failure.
func report(t testing.TB, where, out string, err error) {
	t.Helper()
	switch {
	case err != nil:
		t.Fatalf("%s: %v\n%s", where, err, out)
	case strings.Contains(out, "--- SKIP: "+t.Name()+" "):
		t.Skipf("%s:\n%s", where, out)
	case !strings.Contains(out, "--- PASS: "+t.Name()+" "):
		t.Fatalf("%s the test did not run:\n%s", where, out)
	default:
		t.Log("\n" + out)
	}
}

// childArgs are the arguments of this test binary, changed so that one test runs, once and verbosely, and no file of
// the parent (coverage, profiles, the list of files for go test's cache) is written twice. In a repeated flag the last counts.
func childArgs(args []string, name string) []string {
	elements := strings.Split(name, "/")
	for i, e := range elements {
		elements[i] = "^" + regexp.QuoteMeta(e) + "$"
	}
	override := []string{
		"-test.run=" + strings.Join(elements, "/"), "-test.skip=", "-test.bench=", "-test.fuzz=",
		"-test.v=true", "-test.count=1", "-test.testlogfile=",
		"-test.coverprofile=", "-test.cpuprofile=", "-test.memprofile=", "-test.blockprofile=", "-test.mutexprofile=", "-test.trace=",
	}
	return append(append([]string{}, args...), override...)
}

// freshNamespaces asks for namespaces by their flags of clone(2), and without root for a user namespace around them.
func freshNamespaces(flags uintptr) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Cloneflags: flags}
	if uid := os.Geteuid(); uid != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// init prepares the namespaces of a process that [InNetns] started, before any test runs in it.
func init() {
	if os.Getenv(insideNetns) == "" {
		return
	}
	if err := prepareNamespaces(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv: preparing the namespaces:", err)
		os.Exit(1)
	}
}

// prepareNamespaces shows the new network namespace in /sys, hides that from the host, and sets lo up.
func prepareNamespaces() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	// EBUSY: that is what the test binary finds when the test starts it once more.
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("mounting sysfs: %w", err)
	}
	return setLoUp()
}

// setLoUp sets the link lo up.
func setLoUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return fmt.Errorf("naming link lo: %w", err)
	}
	ifr.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("setting link lo up: %w", err)
	}
	return nil
}
