package xdp

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// xpsOf is the mask of a queue, seen where /sys is of this network namespace.
func xpsOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile("/sys/class/net/v0/queues/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func setXPS(t *testing.T, file, mask string) {
	t.Helper()
	if err := os.WriteFile("/sys/class/net/v0/queues/"+file, []byte(mask), 0); err != nil {
		t.Fatal(err)
	}
}

// TestXPS: the kernel doesn't choose queues while the programs are attached, also when somebody sets it up again; at the
// end it has back what it had first.
func TestXPS(t *testing.T) {
	inLab(t, func(l lab) {
		masks := map[string]string{"tx-0/xps_cpus": "1", "tx-1/xps_cpus": "2", "tx-1/xps_rxqs": "1"}
		for file, mask := range masks {
			setXPS(l.T, file, mask)
		}
		want := func(when string, cleared uint64, p *Plane) {
			l.Helper()
			for file := range masks {
				if got := xpsOf(l.T, file); got != "0" {
					l.Errorf("%s: %s is %s", when, file, got)
				}
			}
			if q := l.status(p).Links[0].Queues; q.Cleared != cleared || q.Why != "" || q.Tx != 2 {
				l.Errorf("%s: %+v", when, q)
			}
		}
		p := l.open()
		want("after Open", 3, p)
		setXPS(l.T, "tx-0/xps_cpus", "3")
		p.spread()
		want("after somebody meddled", 4, p)
		l.close(p)
		setXPS(l.T, "tx-0/xps_cpus", "3")
		p = l.open()
		want("after the next Open", 1, p)
		l.close(p)
		removed, err := Detach(l.options)
		if err != nil || !strings.Contains(strings.Join(removed, "\n"), "tx-1 on v0: xps_rxqs is 1 again") {
			l.Error(removed, err)
		}
		for file, mask := range masks {
			if got := xpsOf(l.T, file); got != mask {
				l.Errorf("at the end %s is %s, and was %s", file, got, mask)
			}
		}
	})
}

// TestXPSGivenBack: a link that isn't in the layout any more gets its XPS back.
func TestXPSGivenBack(t *testing.T) {
	inLab(t, func(l lab) {
		setXPS(l.T, "tx-0/xps_cpus", "1")
		p := l.open()
		defer l.close(p)
		if err := p.SetLayout(l.Context(), Layout{Internet: "p0", Network: "v1"}); err != nil {
			l.Fatal(err)
		}
		if got := xpsOf(l.T, "tx-0/xps_cpus"); got != "1" {
			l.Error(got)
		}
	})
}

// TestXPSKept: what can't be given back is noted until it can be.
func TestXPSKept(t *testing.T) {
	inLab(t, func(l lab) {
		setXPS(l.T, "tx-0/xps_cpus", "1")
		p := l.open()
		defer l.close(p)
		d, err := lookUp("v0")
		if err != nil {
			l.Fatal(err)
		}
		bad := mask{d.index, "tx-9", "xps_cpus"} // there is no such queue
		if err := writeNote(p.directory.in(bad.note()), "1"); err != nil {
			l.Fatal(err)
		}
		for range 2 {
			if _, err := p.directory.restoreQueues(nil); err == nil {
				l.Error("a queue that isn't there was given back")
			}
		}
		if note, err := readNote(p.directory.in(bad.note())); note != "1" || err != nil {
			l.Error(note, err)
		}
		if got := xpsOf(l.T, "tx-0/xps_cpus"); got != "1" {
			l.Error(got)
		}
	})
}

// TestOtherSysfs: /sys may be of another network namespace.
func TestOtherSysfs(t *testing.T) {
	inLab(t, func(l lab) {
		setXPS(l.T, "tx-0/xps_cpus", "1")
		startChild(l.T, "sees other sysfs", unix.CLONE_NEWNS, "LQOSD_XDP_BPFFS="+l.options.BPFFS).kill()
		if got := xpsOf(l.T, "tx-0/xps_cpus"); got != "0" {
			l.Error(got)
		}
	})
}

func childSeesOtherSysfs(t *testing.T) {
	if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil { // what is below it is that of the machine
		t.Fatal(err)
	}
	if _, err := os.Stat("/sys/class/net/v0"); err == nil {
		t.Fatal("/sys shows this network namespace")
	}
	l := lab{T: t, options: Options{Layout: twoLinks, BPFFS: os.Getenv("LQOSD_XDP_BPFFS")}, seams: defaultSeams()}
	p := l.open()
	if q := l.status(p).Links[0].Queues; q.Why != "" || q.Tx != 2 {
		t.Fatalf("%+v", q)
	}
	readyAndWait(t)
}
