package sim

import (
	"bufio"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// kept is where seeds are that have found something: a number on each line, and what it was.
const kept = "testdata/seeds"

// usual is how long a run of the tests is, in simulated time.
const usual = 10 * time.Minute

// more is how many seeds the tests run besides those that have found something: the same each time, so that a
// commit that passes once passes always. make sim throws new ones.
const more = 20

var keep = flag.Bool("keep", false, "append the seeds that fail to "+kept)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// TestSimulation runs the seeds that have found something, and some more. SIM_SEED runs one alone, and SIM_MINUTES
// says how long in simulated time; without SIM_SEED that is five new seeds: make sim.
func TestSimulation(t *testing.T) {
	length := usual
	var seeds []uint64
	switch only := os.Getenv("SIM_SEED"); {
	case only != "":
		seeds = append(seeds, number(t, only))
	case os.Getenv("SIM_MINUTES") != "":
		for range 5 {
			seeds = append(seeds, uint64(rand.Uint32()))
		}
	default:
		seeds = keptSeeds(t)
		for i := range uint64(more) {
			seeds = append(seeds, 1_000_000+i)
		}
	}
	if m := os.Getenv("SIM_MINUTES"); m != "" {
		length = time.Duration(number(t, m)) * time.Minute
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed, length) })
	}
}

func simulate(t *testing.T, seed uint64, length time.Duration) {
	// Of a panic in a goroutine of the daemon nothing else would say which seed it was.
	fmt.Fprintf(os.Stderr, "simulating seed %d for %v\n", seed, length)
	began := time.Now()
	r := run(t, config{seed: seed, length: length})
	t.Logf("%s, in %.1f s", r, time.Since(began).Seconds())
	if r.fault == "" {
		return
	}
	t.Errorf("%s\nThe end of what happened:\n%sTo see it again: make sim SEED=%d MINUTES=%d", r.fault, r.trace.tail(250), seed, int(length.Minutes()))
	if !*keep {
		return
	}
	f, err := os.OpenFile(kept, os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintf(f, "%d\t%.150s\n", seed, strings.ReplaceAll(r.fault, "\n", " "))
}

func number(t *testing.T, text string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func keptSeeds(t *testing.T) (seeds []uint64) {
	t.Helper()
	f, err := os.Open(kept)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if text, _, _ := strings.Cut(lines.Text(), "\t"); text != "" {
			seeds = append(seeds, number(t, text))
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return seeds
}

// TestSameSeedSameTrace: whatever fails can be made to fail again.
func TestSameSeedSameTrace(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		first := run(t, config{seed: seed, length: usual / 2})
		again := run(t, config{seed: seed, length: usual / 2})
		if first.trace.hash() != again.trace.hash() {
			t.Errorf("seed %d: two runs differ:\n%s", seed, firstDifference(first.trace, again.trace))
		}
	}
}

func firstDifference(a, b *trace) string {
	x, y := a.sorted(), b.sorted()
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("%s\n%s\n", x[i], y[i])
		}
	}
	return fmt.Sprintf("%d and %d lines", len(x), len(y))
}
