package eventlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Policy says which old segments may go. A rule that is zero is left out; with none, nothing goes. Only whole segments go,
// oldest first and without holes, and never the live one.
type Policy struct {
	// MaxAge: segments whose last record is older go.
	MaxAge time.Duration
	// MaxBytes: the oldest segments go until all files together are no bigger.
	MaxBytes int64
	// MinMark protects: a segment that may hold records of generation MinMark (see Snapshot.Mark) or a later one stays,
	// whatever the other rules say. Without another rule everything older goes.
	MinMark uint64
	// DryRun only reports.
	DryRun bool
}

// Pruned is what went, or would go.
type Pruned struct {
	Segments []string `json:"segments"` // file names, oldest first
	Bytes    int64    `json:"bytes"`
	First    Seq      `json:"first"` // the first seq that is left
}

// Prune removes old segments. Iterations over them end with ErrPruned at the latest when they reach the next segment.
func (l *Log) Prune(p Policy) (Pruned, error) {
	l.segMu.Lock()
	defer l.segMu.Unlock()
	if l.live == nil {
		return Pruned{}, fmt.Errorf("pruning: %w", ErrClosed)
	}
	done, left, err := prune(l.dir, l.firsts, p, l.opts.Clock())
	l.firsts = left
	return done, err
}

// Prune removes old segments of a log that no daemon holds; otherwise it returns a *HeldError at once.
func Prune(dir string, p Policy) (done Pruned, err error) {
	firsts, err := listSegments(dir)
	if err == nil && len(firsts) == 0 {
		err = fmt.Errorf("%s: no segments: %w", dir, os.ErrNotExist)
	}
	if err != nil {
		return Pruned{}, fmt.Errorf("pruning: %w", err)
	}
	lock, err := lockDir(dir, Holder{PID: os.Getpid(), Since: time.Now()})
	if err != nil {
		return Pruned{}, fmt.Errorf("pruning: %w", err)
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	if firsts, err = listSegments(dir); err != nil {
		return Pruned{}, fmt.Errorf("pruning: %w", err)
	}
	done, _, err = prune(dir, firsts, p, time.Now())
	return done, err
}

// prune applies p to the segments firsts and returns what is left of them.
func prune(dir string, firsts []Seq, p Policy, now time.Time) (done Pruned, left []Seq, err error) {
	infos, err := segmentInfos(dir, firsts)
	if err != nil {
		return Pruned{First: firsts[0]}, firsts, fmt.Errorf("pruning: %w", err)
	}
	n := p.count(infos, now)
	for _, info := range infos[:n] {
		if !p.DryRun {
			if err = os.Remove(filepath.Join(dir, info.Name)); err != nil {
				break
			}
			firsts = firsts[1:]
		}
		done.Segments = append(done.Segments, info.Name)
		done.Bytes += info.Bytes
	}
	done.First = infos[len(done.Segments)].First
	if len(done.Segments) > 0 && !p.DryRun {
		err = errors.Join(err, syncDir(dir))
	}
	if err != nil {
		err = fmt.Errorf("pruning: %w", err)
	}
	return done, firsts, err
}

// count is how many segments go, from the oldest.
func (p Policy) count(infos []SegmentInfo, now time.Time) (n int) {
	var total int64
	for _, info := range infos {
		total += info.Bytes
	}
	for ; n < len(infos)-1; n++ {
		info := infos[n]
		if !info.Sealed || !p.allows(info, infos[n+1].Mark, total, now) {
			break
		}
		total -= info.Bytes
	}
	return n
}

// allows tells whether a segment goes. nextMark is that of the segment after it: the newest generation it may hold.
func (p Policy) allows(info SegmentInfo, nextMark uint64, total int64, now time.Time) bool {
	if p.MinMark > 0 && nextMark >= p.MinMark {
		return false
	}
	if p.MaxAge == 0 && p.MaxBytes == 0 {
		return p.MinMark > 0
	}
	return p.MaxAge > 0 && now.Sub(info.Time) > p.MaxAge || p.MaxBytes > 0 && total > p.MaxBytes
}
