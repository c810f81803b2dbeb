package xdp

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestTwoNamespaces: each has its pins in one bpffs; neither sees the other's, nor ends with it.
func TestTwoNamespaces(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		l.steer(p, someSteers[:1], nil)
		before := l.state(p)
		other := startChild(l.T, "serves beside", unix.CLONE_NEWNET, "LQOSD_XDP_BPFFS="+l.options.BPFFS)
		l.wantSame(before, l.state(p))
		l.wantSteers(p, someSteers[:1])
		l.close(p)

		p = l.open() // it could think that the other's are dead
		defer l.close(p)
		l.wantSame(before, l.state(p))
		if found, err := filepath.Glob(filepath.Join(l.options.BPFFS, ourFolder, "*", "links", "*")); err != nil || len(found) != 8 {
			l.Error(found, err)
		}
		if _, err := other.in.Write([]byte("detach\n")); err != nil {
			l.Fatal(err)
		}
		other.waitFor(l.T, "detached")
		l.wantSame(before, l.state(p))
		l.wantAttached(p, kindTCX)
		l.wantSteers(p, someSteers[:1])
	})
}

func childServesBeside(t *testing.T) {
	addLink(t, "0")
	addLink(t, "1")
	l := lab{T: t, options: Options{Layout: twoLinks, BPFFS: os.Getenv("LQOSD_XDP_BPFFS")}, seams: defaultSeams()}
	p := l.open()
	l.wantSteers(p, nil)
	l.steer(p, someSteers, nil)
	l.close(p)
	if t.Failed() {
		t.FailNow()
	}
	_, _ = os.Stdout.WriteString("ready\n")
	if _, err := os.Stdin.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if removed, err := Detach(l.options); err != nil || len(removed) != 5 {
		t.Fatal(removed, err)
	}
	_, _ = os.Stdout.WriteString("detached\n")
}

// TestDeadNamespaces: pins of a network namespace that is no more are removed, those of one that lives are not, with or
// without a process that has them open.
func TestDeadNamespaces(t *testing.T) {
	inLab(t, func(l lab) {
		parent := filepath.Join(l.options.BPFFS, ourFolder)
		names := func() []string {
			l.Helper()
			list, err := folders(parent, "netns-")
			if err != nil {
				l.Fatal(err)
			}
			return list
		}
		l.close(l.open())
		other := startChild(l.T, "serves beside", unix.CLONE_NEWNET, "LQOSD_XDP_BPFFS="+l.options.BPFFS)
		l.close(l.open())
		if len(names()) != 2 {
			l.Fatal("of two that live there are", names())
		}
		unclear := filepath.Join(parent, "netns-0", linksFolder) // without a pin: who knows
		if err := os.MkdirAll(unclear, 0o700); err != nil {
			l.Fatal(err)
		}
		other.kill()
		l.eventually("the network namespace has ended", func() bool { // its links end a moment after its last process
			l.close(l.open())
			return len(names()) == 2
		})
		if _, err := os.Stat(unclear); err != nil {
			l.Error(err)
		}
	})
}

// TestLockedNamespaces: a directory whose links are all gone is left while a process has it open.
func TestLockedNamespaces(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		run(l, "ip", "link", "del", "v0")
		run(l, "ip", "link", "del", "v1")
		removed, err := removeIfDead(p.directory.path)
		if removed || err == nil {
			l.Error(removed, err)
		}
	})
}
