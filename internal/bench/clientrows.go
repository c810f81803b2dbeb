package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// clientRows compare clients.
var clientRows = []row{{
	key: "commit_python", pairs: 5, sizes: circuitCounts,
	what: "Bakery.commit() of 10,000 circuits in Python, collecting them included", against: "the same commit by the Go client",
	prepare: prepareCommit,
}}

// prepareCommit has a daemon of its own for each commit.
func prepareCommit(_ context.Context, s *stand) (pair, error) {
	n := network{circuits: s.circuits(), queues: 16, addresses: true}
	return func(ctx context.Context) (ours, other sample, err error) {
		if ours, err = s.commitByPython(ctx, n); err == nil {
			other, err = s.commitByGo(ctx, n)
		}
		return ours, other, err
	}, nil
}

func (s *stand) commitByGo(ctx context.Context, n network) (sample, error) {
	d, err := s.startDaemon(ctx)
	if err != nil {
		return sample{}, err
	}
	c, err := d.dial(ctx)
	if err != nil {
		return sample{}, err
	}
	s.later(c.Close)
	began := time.Now()
	err = do(ctx, c, n.batch(), 1024)
	return sample{took: time.Since(began)}, err
}

func (s *stand) commitByPython(ctx context.Context, n network) (sample, error) {
	d, err := s.startDaemon(ctx)
	if err != nil {
		return sample{}, err
	}
	cmd := exec.CommandContext(ctx, "python3", "-m", "tests.commit_time", strconv.Itoa(n.circuits))
	cmd.Dir = s.python
	cmd.Env = append(os.Environ(), "LQOSD_SOCKET="+d.socket(), "PYTHONDONTWRITEBYTECODE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return sample{}, fmt.Errorf("python3: %w\n%s", err, out)
	}
	var collect, commit float64
	if _, err := fmt.Sscan(string(out), &collect, &commit); err != nil {
		return sample{}, fmt.Errorf("python3: %w: %s", err, out)
	}
	return sample{took: time.Duration((collect + commit) * float64(time.Second))}, nil
}
