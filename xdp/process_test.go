package xdp

import (
	"bufio"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"lqosd/internal/testenv"
)

// childEnv is set for a process that a test starts of this test binary: which of children it is.
const childEnv = "LQOSD_XDP_CHILD"

// children are what such processes do. They print "ready" and wait for the end of their input, or to be killed.
var children map[string]func(*testing.T)

func init() {
	children = map[string]func(*testing.T){
		"serve":            childServes,
		"process 1":        childIsProcess1,
		"serves below":     childServesBelow,
		"serves alone":     childServesAlone,
		"serves beside":    childServesBeside,
		"sees other sysfs": childSeesOtherSysfs,
		"may not":          childMayNot,
	}
}

// TestChild does nothing but in those processes.
func TestChild(t *testing.T) {
	if name := os.Getenv(childEnv); name != "" {
		children[name](t)
	}
}

// child is such a process.
type child struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// startChild starts one, in namespaces of its own as the flags of clone(2) say, and waits until it is ready. args go to its
// environment, as NAME=value.
func startChild(t *testing.T, name string, flags uintptr, args ...string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v", "-test.count=1")}
	c.Env = append(append(os.Environ(), childEnv+"="+name, "LQOSD_TEST_INSIDE_NETNS="), args...) // it has its namespaces already
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	c.Stderr = t.Output()
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewScanner(out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.kill)
	c.waitFor(t, "ready")
	return c
}

// waitFor waits until the child prints a line.
func (c *child) waitFor(t *testing.T, line string) {
	t.Helper()
	for c.out.Scan() {
		t.Log(name(c.Env)+":", c.out.Text())
		if strings.Contains(c.out.Text(), line) {
			return
		}
	}
	t.Fatalf("the child ended without %q", line)
}

func name(env []string) string {
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, childEnv+"="); ok {
			return value
		}
	}
	return ""
}

// kill kills it as kill -9 does.
func (c *child) kill() {
	_ = c.Process.Kill()
	_ = c.Wait()
}

// readyAndWait says that a child is ready and waits for the end of its input.
func readyAndWait(t *testing.T) {
	t.Helper()
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func childServes(t *testing.T) {
	o := Options{Layout: twoLinks, BPFFS: os.Getenv("LQOSD_XDP_BPFFS"), Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	p, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Steer(t.Context(), someSteers, nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", p.directory.fs)
	readyAndWait(t)
}

// TestKill: a process that is killed leaves all attached and working, and the next one takes it over.
func TestKill(t *testing.T) {
	inLab(t, func(l lab) {
		startChild(l.T, "serve", 0, "LQOSD_XDP_BPFFS="+l.options.BPFFS).kill()
		l.wantSteered()
		p := l.open()
		defer l.close(p)
		if n := l.status(p).Writes; n != 0 {
			l.Errorf("%d entries were written", n)
		}
		l.wantAttached(p, kindTCX)
		l.wantSteers(p, someSteers)
	})
}

// wantSteered wants a packet to be steered at both hooks, whoever has attached what is there.
func (l lab) wantSteered() {
	l.Helper()
	before := l.verdicts()
	send(l.T, "p0", ipv4Packet("192.0.2.1", "100.64.0.1")) // comes in by v0: XDP, down
	send(l.T, "v1", ipv4Packet("192.0.2.1", "100.64.0.1")) // goes out by v1: egress, down
	l.eventually("packets are steered at both hooks", func() bool {
		now := l.verdicts()
		return now["ingress down"] > before["ingress down"] && now["egress down"] > before["egress down"]
	})
}

// TestPrivateMounts: who runs in a mount namespace as `ip netns exec` makes it (with a fresh /sys, without
// the bpffs of others) pins where it lasts.
func TestPrivateMounts(t *testing.T) {
	inLab(t, func(l lab) {
		// The child is process 1 of a PID namespace. Its mount namespace is the one of the machine, so to speak, and it has
		// another process do the work in a mount namespace as that command would make it.
		c := startChild(l.T, "process 1", unix.CLONE_NEWPID|unix.CLONE_NEWNS)
		_ = c.in.Close()
		for c.out.Scan() {
			l.Log(c.out.Text())
		}
		if err := c.Wait(); err != nil {
			l.Fatal(err)
		}
	})
}

func childIsProcess1(t *testing.T) {
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Fatal(err)
	}
	l := lab{T: t, options: Options{Layout: twoLinks, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}, seams: defaultSeams()}
	var alone *child
	done := make(chan struct{})
	go onThread(func() { // what the thread may not, its child may not
		defer close(done)
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_PTRACE, 0, 0, 0); err != nil {
			t.Error(err)
			return
		}
		alone = startChild(t, "serves alone", unix.CLONE_NEWNS)
	})
	<-done
	alone.kill()
	if _, err := Look(t.Context(), l.options); err == nil {
		t.Fatal("what went with its mount namespace is there")
	}
	startChild(t, "serves below", unix.CLONE_NEWNS).kill()
	if _, err := Look(t.Context(), l.options); err != nil {
		t.Fatal("where process 1 is, nothing is pinned:", err)
	}
	p := l.open()
	defer l.close(p)
	if s := l.status(p); s.Writes != 0 || s.BPFFS.Why != "" || !strings.HasPrefix(s.BPFFS.Directory, usualBPFFS+"/") {
		t.Errorf("%+v", s)
	}
	l.wantAttached(p, kindTCX)
	l.wantSteers(p, someSteers)
	readyAndWait(t)
}

// freshSys changes the mounts as ip-netns(8) does (netns_switch in iproute2).
func freshSys(t *testing.T) {
	t.Helper()
	for _, err := range []error{
		unix.Mount("", "/", "none", unix.MS_SLAVE|unix.MS_REC, ""),
		unix.Unmount("/sys", unix.MNT_DETACH),
		unix.Mount("name", "/sys", "sysfs", 0, ""),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (search{}).at(usualBPFFS); err == nil {
		t.Fatal("there is a bpffs in /sys already")
	}
}

// childServesAlone can't reach process 1: it works, and says that this won't last.
func childServesAlone(t *testing.T) {
	freshSys(t)
	l := lab{T: t, options: Options{Layout: twoLinks}, seams: defaultSeams()}
	p := l.open()
	defer l.close(p)
	if s := l.status(p).BPFFS; !strings.Contains(s.Why, "out of reach") || strings.Contains(s.Directory, "of process 1") {
		t.Errorf("%+v", s)
	}
	l.wantAttached(p, kindTCX)
	if t.Failed() {
		t.FailNow()
	}
	readyAndWait(t)
}

func childServesBelow(t *testing.T) {
	freshSys(t)
	testenv.NoLeakedFDs(t)
	p, err := Open(t.Context(), Options{Layout: twoLinks})
	if err != nil {
		t.Fatal(err)
	}
	l := lab{T: t}
	s := l.status(p).BPFFS
	if s.Why != "" || !strings.Contains(s.Directory, "of process 1") {
		t.Errorf("%+v", s)
	}
	l.steer(p, someSteers, nil)
	l.close(p) // no descriptor is left
	if p, err = Open(t.Context(), Options{Layout: twoLinks}); err != nil {
		t.Fatal(err)
	}
	if n := l.status(p).Writes; n != 0 {
		t.Errorf("%d entries were written", n)
	}
	if t.Failed() {
		t.FailNow()
	}
	readyAndWait(t)
}
