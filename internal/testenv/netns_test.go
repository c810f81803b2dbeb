package testenv

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

func TestInNetnsHasANetworkOfItsOwn(t *testing.T) {
	InNetns(t, func(t *testing.T) {
		links, err := net.Interfaces()
		if err != nil {
			t.Fatal(err)
		}
		if len(links) != 1 || links[0].Name != "lo" || links[0].Flags&net.FlagUp == 0 {
			t.Fatalf("links = %+v, want lo alone, and up", links)
		}
		// Another goroutine, perhaps on another thread, is in the same namespace, and so is a child process.
		done := make(chan error)
		go func() { done <- exec.Command("ip", "link", "add", "lqa", "type", "veth", "peer", "name", "lqb").Run() }()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat("/sys/class/net/lqa/queues"); err != nil {
			t.Errorf("/sys doesn't show the link of this namespace: %v", err)
		}
	})
	if os.Getenv(insideNetns) != "" {
		return
	}
	if _, err := net.InterfaceByName("lqa"); err == nil {
		t.Error("the link of the test is in the host's namespace")
	}
}

func TestInNetnsRunsSubtestsByName(t *testing.T) {
	t.Run("a name (with) [signs]", func(t *testing.T) {
		InNetns(t, func(t *testing.T) {
			if os.Getenv(insideNetns) == "" {
				t.Error("not in a process of its own")
			}
		})
	})
}

func TestReport(t *testing.T) {
	for _, tc := range []struct {
		name, out string
		err       error
		want      string
	}{
		{"pass", "--- PASS: TestX (0.00s)\n", nil, "log: "},
		{"skip", "--- SKIP: TestX (0.00s)\n", nil, "skip: in a network"},
		{"fail", "--- FAIL: TestX (0.00s)\n", exec.ErrNotFound, "fatal: in a network namespace of its own: executable file not found"},
		{"nothing ran", "testing: warning: no tests to run\nPASS\n", nil, "fatal: in a network namespace of its own the test did not run"},
		{"another test passed", "--- PASS: TestXY (0.00s)\n", nil, "fatal: in a network namespace of its own the test did not run"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &recorder{name: "TestX"}
			if got := r.run(func(tb testing.TB) { report(tb, "in a network namespace of its own", tc.out, tc.err) }); !strings.HasPrefix(got, tc.want) {
				t.Errorf("verdict %q, want %q…", got, tc.want)
			}
		})
	}
}

func TestChildArgs(t *testing.T) {
	args := []string{"-test.coverprofile=c.out", "-update"}
	got := childArgs(args, "TestA/b+c")
	if !slices.Contains(got, `-test.run=^TestA$/^b\+c$`) || !slices.Contains(got, "-update") {
		t.Errorf("childArgs = %q", got)
	}
	if slices.Index(got, "-test.coverprofile=") < slices.Index(got, "-test.coverprofile=c.out") {
		t.Error("the parent's coverage file would be overwritten")
	}
}
