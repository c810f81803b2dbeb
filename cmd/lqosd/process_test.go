package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"lqosd/internal/lqosconf"
)

// patience is how long a test waits for what should take milliseconds, on a machine that may have much else to do.
const patience = 2 * time.Minute

// diary keeps what a daemon logs, and tells when it says that it serves.
type diary struct {
	mu      sync.Mutex
	text    bytes.Buffer
	serving chan struct{}
	said    bool
}

func newDiary() *diary { return &diary{serving: make(chan struct{})} }

func (d *diary) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text.Write(b)
	if !d.said && strings.Contains(d.text.String(), "msg=serving ") {
		d.said = true
		close(d.serving)
	}
	return len(b), nil
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

// process is a daemon in a process of its own.
type process struct {
	*diary
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended; err is set then
	err   error
}

// start starts a daemon, without waiting for anything.
func (p place) start(t testing.TB, command string, flags ...string) *process {
	t.Helper()
	return p.startCommand(t, exec.Command(command, append([]string{"serve", "--config", p.config(), "--mode", "file"}, flags...)...))
}

// startUnder starts a daemon as it is installed under another program, such as strace.
func (p place) startUnder(t testing.TB, other ...string) *process {
	t.Helper()
	words := append(other, program(t, "lqosd"), "serve", "--config", p.config(), "--mode", "file")
	return p.startCommand(t, exec.Command(words[0], words[1:]...))
}

// startAs starts a daemon with other ids, and waits until it serves.
func (p place) startAs(t testing.TB, attr syscall.SysProcAttr, command string, flags ...string) *process {
	t.Helper()
	cmd := exec.Command(command, append([]string{"serve", "--config", p.config(), "--mode", "file"}, flags...)...)
	cmd.SysProcAttr = &attr
	d := p.startCommand(t, cmd)
	if !d.waitServing(t) {
		t.Fatalf("the daemon ended: %v\n%s", d.err, d)
	}
	return d
}

// startCommand starts a daemon by its command line.
func (p place) startCommand(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	d := &process{diary: newDiary(), cmd: cmd, ended: make(chan struct{})}
	d.cmd.Dir, d.cmd.Stderr = p.dir, d.diary
	if d.cmd.SysProcAttr == nil {
		d.cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	d.cmd.SysProcAttr.Setpgid = true
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		d.err = d.cmd.Wait()
		close(d.ended)
	}()
	t.Cleanup(d.kill)
	return d
}

// startServing starts a daemon and waits until it serves.
func (p place) startServing(t testing.TB, command string, flags ...string) *process {
	t.Helper()
	d := p.start(t, command, flags...)
	if !d.waitServing(t) {
		t.Fatalf("the daemon ended: %v\n%s", d.err, d)
	}
	return d
}

// waitServing reports whether the daemon came to serve; false when it ended before.
func (d *process) waitServing(t testing.TB) bool {
	t.Helper()
	select {
	case <-d.serving:
		return true
	case <-d.ended:
		return false
	case <-time.After(patience):
		t.Fatalf("the daemon doesn't serve:\n%s", d)
	}
	return false
}

// kill ends the daemon with SIGKILL, and what it runs under.
func (d *process) kill() {
	select {
	case <-d.ended: // its number may be another's by now
	default:
		_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	}
	<-d.ended
}

// frozen runs do while no thread of the daemon runs.
func (d *process) frozen(t testing.TB, do func()) {
	t.Helper()
	pid := d.cmd.Process.Pid
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Kill(pid, unix.SIGCONT) }()
	err := unix.EINTR
	for err == unix.EINTR {
		err, _ = unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED, nil).(unix.Errno)
	}
	if err != 0 {
		t.Fatal(err)
	}
	do()
}

// terminate ends it with SIGTERM, and wants exit code 0.
func (d *process) terminate(t testing.TB) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := d.exitCode(t); code != 0 {
		t.Fatalf("exit code %d after SIGTERM\n%s", code, d)
	}
}

// exitCode waits for the end.
func (d *process) exitCode(t testing.TB) int {
	t.Helper()
	select {
	case <-d.ended:
	case <-time.After(patience):
		t.Fatalf("the daemon doesn't end:\n%s", d)
	}
	return d.cmd.ProcessState.ExitCode()
}

// serveHere serves in file mode, in this process, until the test ends, or until end is called.
func (p place) serveHere(t testing.TB) (end func()) {
	t.Helper()
	return p.serveIn(t, lqosconf.ModeFile)
}

func (p place) serveIn(t testing.TB, mode string) (end func()) {
	t.Helper()
	d := newDiary()
	return p.serveWith(t, mode, d, slog.New(slog.NewTextHandler(d, nil)))
}

// serveWith is serveIn with a log that goes to d, too.
func (p place) serveWith(t testing.TB, mode string, d *diary, log *slog.Logger) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, serveFlags{config: p.config(), mode: mode}, log) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	select {
	case <-d.serving:
	case err := <-ended:
		cancel()
		t.Fatalf("serve: %v\n%s", err, d)
	case <-time.After(patience):
		t.Fatalf("serve doesn't serve:\n%s", d)
	}
	t.Cleanup(end)
	return end
}

// noLeaks fails t when goroutines are left at its end. Call it first.
func noLeaks(t testing.TB) {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
}

// says wants an error to hold texts.
func says(t testing.TB, text string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(text, w) {
			t.Errorf("want %q in:\n%s", w, text)
		}
	}
}

func mustRead(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
