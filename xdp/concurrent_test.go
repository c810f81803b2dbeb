package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestConcurrent calls everything at once: it is for the race detector.
func TestConcurrent(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		defer l.close(p)
		l.running(p, func() {
			var calls sync.WaitGroup
			for _, call := range []func() error{
				func() error { return p.Steer(l.Context(), someSteers, someSteers[:1]) },
				func() error { _, err := p.Steers(l.Context()); return err },
				func() error { _, err := p.Status(l.Context()); return err },
				func() error { _, err := p.Traffic(l.Context()); return err },
				func() error { return p.SetLayout(l.Context(), Layout{Internet: "v1", Network: "v0"}) },
				func() error { return p.SetLayout(l.Context(), twoLinks) },
				func() error { p.look(); p.spread(); return nil },
				p.Forget,
			} {
				calls.Go(func() {
					for range 10 {
						if err := call(); err != nil {
							l.Error(err)
						}
					}
				})
			}
			calls.Wait()
		})
		if err := p.SetLayout(l.Context(), twoLinks); err != nil {
			l.Error(err)
		}
		l.wantAttached(p, kindTCX)
	})
}

// TestCloseMeanwhile closes a Plane that others use: they get an error, from then on.
func TestCloseMeanwhile(t *testing.T) {
	inLab(t, func(l lab) {
		p := l.open()
		ended := make(chan error, 1) // one
		go func() { ended <- p.Run(l.Context()) }()
		var calls, started sync.WaitGroup
		for _, call := range []func() error{
			func() error { return p.Steer(l.Context(), someSteers, someSteers[:1]) },
			func() error { _, err := p.Steers(l.Context()); return err },
			func() error { _, err := p.Status(l.Context()); return err },
			func() error { _, err := p.Traffic(l.Context()); return err },
			func() error { return p.SetLayout(l.Context(), twoLinks) },
			p.Forget,
		} {
			started.Add(1)
			calls.Go(func() {
				err := call()
				for started.Done(); err == nil; {
					err = call()
				}
				if !errors.Is(err, os.ErrClosed) {
					l.Error(err)
				}
			})
		}
		started.Wait()
		l.close(p)
		l.close(p) // once more is nothing
		calls.Wait()
		if err := <-ended; !errors.Is(err, os.ErrClosed) {
			l.Error(err)
		}
	})
}

// TestMountOnce: of two that look for a bpffs at once one mounts it; the other waits and takes that.
func TestMountOnce(t *testing.T) {
	inLab(t, func(l lab) {
		first, err := lockWaiting(l.options.BPFFS)
		if err != nil {
			l.Fatal(err)
		}
		st, err := first.Stat()
		if err != nil {
			l.Fatal(err)
		}
		inode := fmt.Sprintf(":%d ", st.Sys().(*syscall.Stat_t).Ino)
		ended := make(chan error, 1) // one
		go func() { ended <- (search{mount: true}).ensure(l.options.BPFFS) }()
		l.eventually("the other waits", func() bool {
			select {
			case err := <-ended:
				l.Fatal("it didn't wait:", err)
			default:
			}
			locks, err := os.ReadFile("/proc/locks")
			if err != nil {
				l.Fatal(err)
			}
			for line := range strings.Lines(string(locks)) {
				if strings.Contains(line, "-> FLOCK") && strings.Contains(line, inode) {
					return true
				}
			}
			return false
		})
		if err := unix.Mount("bpf", l.options.BPFFS, "bpf", 0, ""); err != nil {
			l.Fatal(err)
		}
		if err := errors.Join(first.Close(), <-ended); err != nil {
			l.Fatal(err)
		}
		mounts, err := os.ReadFile("/proc/self/mountinfo")
		if n := strings.Count(string(mounts), " "+l.options.BPFFS+" "); err != nil || n != 1 {
			l.Errorf("%d are mounted, %v", n, err)
		}
	})
}

// TestPermission: what is missing is said in one line.
func TestPermission(t *testing.T) {
	inLab(t, func(l lab) {
		l.close(l.open())
		done := make(chan struct{})
		go onThread(func() { // what the thread may not, its child may not
			defer close(done)
			for _, c := range []uintptr{unix.CAP_BPF, unix.CAP_SYS_ADMIN, unix.CAP_PERFMON, unix.CAP_NET_ADMIN} {
				if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
					l.Error(err)
				}
			}
			startChild(l.T, "may not", 0, "LQOSD_XDP_BPFFS="+l.options.BPFFS).kill()
		})
		<-done
	})
}

func childMayNot(t *testing.T) {
	for _, bpf := range []string{os.Getenv("LQOSD_XDP_BPFFS"), t.TempDir(), ""} {
		p, err := Open(t.Context(), Options{Layout: twoLinks, BPFFS: bpf})
		if err == nil {
			_ = p.Close()
			t.Fatal("opened in", bpf)
		}
		if text := err.Error(); !strings.Contains(text, "needs CAP_BPF, CAP_NET_ADMIN") || strings.Contains(text, "\n") {
			t.Fatal(filepath.Base(bpf), text)
		}
		t.Log(err)
	}
	readyAndWait(t)
}
