package testenv

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Host is a host of a [Lab]: a network namespace without a name, with the thread that lives in it. Both end with the test.
//
// What a test does in its own namespace it does as always; what it does on a host goes through [Host.Do].
type Host struct {
	Name   string
	thread int         // its id: ip(8) finds the namespace by it
	calls  chan func() // capacity 0: a caller waits until the thread is free
}

// newHost makes a host on which only lo exists, and it is up.
func newHost(t testing.TB, name string) *Host {
	t.Helper()
	h := &Host{Name: name, calls: make(chan func())}
	started, ended := make(chan error, 1), make(chan struct{})
	onOwnThread(func() {
		defer close(ended)
		h.live(started)
	})
	if err := <-started; err != nil {
		t.Fatalf("making host %s: %v", name, err)
	}
	t.Cleanup(func() {
		close(h.calls)
		<-ended
	})
	return h
}

// onOwnThread runs f in a goroutine whose thread serves nothing else and ends with it. It isn't the first thread of the
// process: that one can't end, and its namespace is what /proc/self shows.
func onOwnThread(f func()) {
	go func() {
		runtime.LockOSThread() // for ever: the thread ends with the goroutine
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		taken := make(chan struct{})
		onOwnThread(func() {
			close(taken)
			f()
		})
		<-taken
		runtime.UnlockOSThread()
	}()
}

// live makes the namespace and does what is called for in it.
func (h *Host) live(started chan<- error) {
	h.thread = unix.Gettid()
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err == nil {
		err = setLoUp()
	}
	started <- err
	for call := range h.calls {
		call()
	}
}

// Do calls f on the host's thread: sockets that f opens and programs that it starts belong to the host. Other calls wait
// until f has returned.
func (h *Host) Do(f func() error) error {
	done := make(chan error, 1)
	h.calls <- func() { done <- f() }
	return <-done
}

// Start starts a program on the host. The host takes it along when it ends.
func (h *Host) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL // comes when the thread ends that started the program
	if err := h.Do(cmd.Start); err != nil {
		return fmt.Errorf("starting %s on host %s: %w", cmd.Path, h.Name, err)
	}
	return nil
}

// Command runs a program on the host, of which the line has the words, and returns what it prints.
func (h *Host) Command(t testing.TB, line string) string {
	t.Helper()
	var out strings.Builder
	words := strings.Fields(line)
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := h.Start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		t.Fatalf("%s on host %s: %v\n%s", line, h.Name, err, &out)
	}
	return out.String()
}
