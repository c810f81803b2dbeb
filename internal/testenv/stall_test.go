package testenv

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStallMeter stops a process that measures stalls for a while: that it finds.
func TestStallMeter(t *testing.T) {
	const env, pause = "LQOSD_TEST_STALLS", 300 * time.Millisecond
	if os.Getenv(env) != "" {
		m := startStallMeter()
		if _, err := os.Stdout.WriteString("measuring\n"); err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdin.Read(make([]byte, 1))
		if got := m.end(); got < pause {
			t.Fatalf("stalls of %v, want %v at least", got, pause)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestStallMeter$")
	cmd.Env = append(os.Environ(), env+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 9)
	if _, err := out.Read(said); err != nil || string(said) != "measuring" {
		t.Fatalf("it says %q, %v", said, err)
	}
	for _, s := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		<-time.After(pause + stall)
	}
	_ = in.Close()
	var rest strings.Builder
	buffer := make([]byte, 4096)
	for {
		n, err := out.Read(buffer)
		rest.Write(buffer[:n])
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &rest)
	}
}

// TestDisturbedAttempt: being too slow while the machine stalls is no attempt, but not for ever.
func TestDisturbedAttempt(t *testing.T) {
	const span = 4 * time.Second
	for name, c := range map[string]struct {
		stalls time.Duration
		v      verdict
		want   int
	}{
		"too slow":                   {0, tooSlow, attempts},
		"too slow, hardly disturbed": {span / 200, tooSlow, attempts},
		"too slow, disturbed":        {span / 50, tooSlow, attempts * disturbedAttempts},
		"too fast, disturbed":        {span, tooFast, attempts},
	} {
		t.Run(name, func(t *testing.T) {
			var l limit
			r := record{}
			n := 0
			for ; l.left(); n++ {
				r.add(c.v)
				l.count([]verdict{c.v}, c.stalls, span)
			}
			if n != c.want {
				t.Errorf("%d attempts, want %d", n, c.want)
			}
		})
	}
}
