package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// question is something that bakery-replay is asked about a long log.
type question struct {
	key, what string
	snapshots bool // whether the log has some
	args      func(last eventlog.Seq, circuit string) []string
}

// answerRows compare the answers of bakery-replay with one replay of the log.
var answerRows = []row{
	answerRow(question{"answer_log", "log --circuit", false, askLog}),
	answerRow(question{"answer_tree", "tree --at the middle", false, askTree}),
	answerRow(question{"answer_diff", "diff of two moments", false, askDiff}),
	answerRow(question{"answer_bisect", "bisect --when", false, askBisect}),
	answerRow(question{"answer_tree_snapshots", "tree --at the middle, with snapshots", true, askTree}),
	answerRow(question{"answer_diff_snapshots", "diff of two moments, with snapshots", true, askDiff}),
	answerRow(question{"answer_bisect_snapshots", "bisect --when, with snapshots", true, askBisect}),
}

func askLog(_ eventlog.Seq, circuit string) []string { return []string{"log", "--circuit", circuit} }

func askTree(last eventlog.Seq, _ string) []string {
	return []string{"tree", "--at", fmt.Sprint(last/2 + 77), "--json"}
}

func askDiff(last eventlog.Seq, _ string) []string {
	return []string{"diff", "--from", fmt.Sprint(last / 3), "--to", fmt.Sprint(2*last/3 + 5)}
}

// askBisect asks for the refresh in the middle, a reset for every two thousand records: the recorded network begins with one, and
// clears it once.
func askBisect(last eventlog.Seq, _ string) []string {
	return []string{"bisect", "--when", fmt.Sprintf("generation >= %d", max(1, last/traceRecords))}
}

// traceRecords is how many records the recorded network is.
const traceRecords = 4347

func answerRow(q question) row {
	r := row{
		key: q.key, pairs: 5, goal: goal{atMost: 2}, sizes: []int{10_000, 100_000, 1_000_000},
		what: "bakery-replay " + q.what + ", 1,000,000 records", against: "one replay of all of them",
		prepare: func(ctx context.Context, s *stand) (pair, error) { return prepareAnswer(ctx, s, q) },
	}
	if q.snapshots {
		r.goal = goal{atMost: 0.5}
	}
	return r
}

func prepareAnswer(ctx context.Context, s *stand, q question) (pair, error) {
	dir, err := s.longLog(ctx)
	if err != nil {
		return nil, err
	}
	circuit, err := s.someCircuit()
	if err != nil {
		return nil, err
	}
	log := eventlogOf(dir)
	if !q.snapshots {
		if log, err = s.bareLog(log); err != nil {
			return nil, err
		}
	}
	src, err := eventlog.OpenReader(log)
	if err != nil {
		return nil, err
	}
	args := q.args(src.Last(), circuit)
	if err := src.Close(); err != nil {
		return nil, err
	}
	s.collectLess()
	args = append(args[:1:1], append([]string{log}, args[1:]...)...)
	return func(ctx context.Context) (ours, other sample, err error) {
		began := time.Now()
		if err := answer(ctx, append([]string{filepath.Join(s.bin, "bakery-replay")}, args...)...); err != nil {
			return ours, other, err
		}
		ours = sample{took: time.Since(began)}
		other, err = replayAll(ctx, log)
		return ours, sample{took: other.took}, err
	}, nil
}

// someCircuit is the hash of a circuit of the recorded network.
func (s *stand) someCircuit() (string, error) {
	calls, err := s.trace()
	if err != nil {
		return "", err
	}
	for _, call := range calls {
		if c, ok := call.Args.(bakery.AddCircuitHTBClass); ok {
			return strconv.FormatInt(c.CircuitHash, 10), nil
		}
	}
	return "", errors.New("the recorded network has no circuit")
}

// bareLog is a log of the same records in one segment, without snapshots.
func (s *stand) bareLog(of string) (dir string, err error) {
	if dir, made := s.bare[of]; made {
		return dir, nil
	}
	if dir, err = os.MkdirTemp(s.dir, "bare-"); err != nil { // for other rows, too
		return "", err
	}
	src, err := eventlog.OpenReader(of)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	l, err := eventlog.Open(dir, eventlog.Options{SegmentBytes: 1 << 40})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	var tx eventlog.Tx
	put := func() error {
		if len(tx.Records) == 0 {
			return nil
		}
		p, err := l.Enqueue(tx)
		if err == nil {
			_, err = p.Wait()
		}
		tx.Records = tx.Records[:0]
		return err
	}
	for r, err := range src.Records(0) {
		if err != nil {
			return "", err
		}
		if tx.Records = append(tx.Records, append([]byte(nil), r.Data...)); len(tx.Records) == 1000 {
			if err := put(); err != nil {
				return "", err
			}
		}
	}
	s.bare[of] = dir
	return dir, put()
}

// answer runs bakery-replay: 1 is an answer, too, that of what differs.
func answer(ctx context.Context, words ...string) error {
	out, err := exec.CommandContext(ctx, words[0], words[1:]...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && len(out) > 0 {
		return nil
	}
	if err == nil && len(out) == 0 {
		err = errors.New("it says nothing")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(words, " "), err)
	}
	return nil
}
