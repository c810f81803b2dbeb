package kerneltest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// heard runs a Watch, does steps, and gives what it said.
func heard(t *testing.T, f *Fake, steps func()) (links []string, err error) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Watch(ctx, func(link string) { links = append(links, link) }) }()
		synctest.Wait()
		if f.Watching() != 1 {
			t.Errorf("%d watch", f.Watching())
		}
		steps()
		synctest.Wait()
		cancel()
		err = <-ended
	})
	if f.Watching() != 0 {
		t.Errorf("%d still watch", f.Watching())
	}
	return links, err
}

func TestMute(t *testing.T) {
	f := New(Link{Name: "v0"}, Link{Name: "v1"})
	meddle := func(line string) {
		if err := f.Meddle(line); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	}
	got, err := heard(t, f, func() {
		meddle(addRoot)
		f.Mute()
		meddle(addClass)
		f.RemoveLink("v1")
		f.Overrun()
		synctest.Wait()
		f.Unmute()
		synctest.Wait()
		meddle(addLeaf)
		apply(t, f, "qdisc delete dev v0 root")
		f.Reboot()
	})
	if d := cmp.Diff([]string{"", "v0", "", "v0", ""}, got); d != "" || !errors.Is(err, context.Canceled) {
		t.Error(d, err)
	}
}

func TestFailWatch(t *testing.T) {
	f := New(Link{Name: "v0"})
	broken := errors.New("the socket is closed")
	_, err := heard(t, f, func() { f.FailWatch(broken) })
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}
