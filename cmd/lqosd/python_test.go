package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"lqosd/bus"
	"lqosd/internal/testenv"
)

const pythonDir = "../../bus/python"

// python is a python3 in the folder of the Python clients, which leaves nothing there.
func python(ctx context.Context, t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, "python3", args...)
	cmd.Dir = pythonDir
	cmd.Env = append(os.Environ(), "LQOSD_BIN="+program(t, "lqosd"), "PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=error")
	return cmd
}

// TestPython runs the tests of the Python clients against the daemon.
func TestPython(t *testing.T) {
	testenv.Need(t, testenv.Python)
	out, err := python(t.Context(), t, "-m", "unittest", "discover", "-v", "-s", "tests", "-t", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("python3 -m unittest: %v\n%s", err, out)
	}
	// Where nothing is found, nothing fails.
	says(t, string(out), "test_misbehaving", "test_recorded", "test_diagnose", "test_integration", "\nOK\n")
}

// The network of BenchmarkCommit, and of bus/python/tests/commit_time.py.
const (
	benchCircuits = 10_000
	benchQueues   = 16
)

// BenchmarkCommit commits a network of 10,000 circuits to a fresh daemon, by the Go client and by the Python one, which
// takes so many times as long: x-go.
func BenchmarkCommit(b *testing.B) {
	var byGo float64 // seconds
	b.Run("go", func(b *testing.B) {
		byGo = benchCommit(b, func(p place) time.Duration {
			c := connect(b, p, bus.CBOR)
			began := time.Now()
			commitNetwork(b, c)
			return time.Since(began)
		})
	})
	b.Run("python", func(b *testing.B) {
		testenv.Need(b, testenv.Python)
		byPython := benchCommit(b, func(p place) time.Duration {
			cmd := python(b.Context(), b, "-m", "tests.commit_time", strconv.Itoa(benchCircuits))
			cmd.Env = append(cmd.Env, "LQOSD_SOCKET="+p.socket())
			out, err := cmd.CombinedOutput()
			if err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			var collect, commit float64
			if _, err := fmt.Sscan(string(out), &collect, &commit); err != nil {
				b.Fatalf("%v: %s", err, out)
			}
			return time.Duration((collect + commit) * float64(time.Second))
		})
		if byGo > 0 {
			b.ReportMetric(byPython/byGo, "x-go")
		}
	})
}

// benchCommit measures commits, each to a daemon of its own in a process of its own. It gives the seconds of one.
func benchCommit(b *testing.B, commit func(place) time.Duration) float64 {
	var total time.Duration
	n := 0
	for b.Loop() {
		p := newPlace(b, "n1000")
		d := p.startServing(b, program(b, "lqosd"))
		total += commit(p)
		n++
		d.terminate(b)
	}
	b.ReportMetric(0, "ns/op") // that has the daemon's start, too
	seconds := total.Seconds() / float64(n)
	b.ReportMetric(seconds, "s/commit")
	return seconds
}

// commitNetwork collects the network and commits it, in pipelined sessions of 1,024 requests.
func commitNetwork(b *testing.B, c *bus.Client) {
	b.Helper()
	all := []bus.Call{{Name: "BakeryStart"}, {Name: "BakeryMqSetup", Args: map[string]any{"queues_available": benchQueues, "stick_offset": 0}}}
	for q := 1; q <= benchQueues; q++ {
		all = append(all, bus.Call{Name: "BakeryAddSite", Args: map[string]any{"site_hash": q, "parent_class_id": q << 16, "up_parent_class_id": q << 16,
			"class_minor": 3, "download_bandwidth_min": 100, "upload_bandwidth_min": 100, "download_bandwidth_max": 1000, "upload_bandwidth_max": 1000}})
	}
	for i := range benchCircuits {
		q := i%benchQueues + 1
		all = append(all, bus.Call{Name: "BakeryAddCircuit", Args: map[string]any{"circuit_hash": i, "circuit_name": "circuit " + strconv.Itoa(i),
			"site_name": "site " + strconv.Itoa(q), "parent_class_id": q<<16 | 3, "up_parent_class_id": q<<16 | 3, "class_minor": 4 + i/benchQueues,
			"download_bandwidth_min": 1, "upload_bandwidth_min": 1, "download_bandwidth_max": 20, "upload_bandwidth_max": 10, "class_major": q,
			"up_class_major": q, "ip_addresses": fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)}})
	}
	all = append(all, bus.Call{Name: "BakeryCommit"})
	var futures []*bus.Future
	for len(all) > 0 {
		n := min(1024, len(all))
		futures, all = append(futures, c.Go(all[:n]...)), all[n:]
	}
	for _, f := range futures {
		replies, err := f.Wait(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range replies {
			if !r.IsAck() {
				b.Fatalf("%s: %v", r.Name, strings.TrimSpace(r.Err().Error()))
			}
		}
	}
}
