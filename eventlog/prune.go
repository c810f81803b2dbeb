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
	done, left, err := pruneRun{l.dir, l.firsts, l.live.meta.Mark, l.opts.Clock()}.apply(p)
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
	var live SegmentInfo
	if err := live.read(filepath.Join(dir, segmentName(firsts[len(firsts)-1]))); err != nil {
		return Pruned{}, fmt.Errorf("pruning: %w", err)
	}
	done, _, err = pruneRun{dir, firsts, live.Mark, time.Now()}.apply(p)
	return done, err
}

// pruneRun is what a policy is applied to. The LOCK is held.
type pruneRun struct {
	dir      string
	firsts   []Seq
	liveMark uint64
	now      time.Time
}

// apply removes what p allows and returns the segments that are left.
func (r pruneRun) apply(p Policy) (done Pruned, left []Seq, err error) {
	infos, err := segmentInfos(r.dir, r.firsts, r.liveMark)
	if err != nil {
		return Pruned{First: r.firsts[0]}, r.firsts, fmt.Errorf("pruning: %w", err)
	}
	n := p.count(infos, r.now)
	left = r.firsts
	for _, info := range infos[:n] {
		if !p.DryRun {
			if err = r.remove(info.Name); err != nil {
				break
			}
			left = left[1:]
		}
		done.Segments = append(done.Segments, info.Name)
		done.Bytes += info.Bytes
	}
	done.First = infos[len(done.Segments)].First
	if err != nil {
		err = fmt.Errorf("pruning: %w", err)
	}
	return done, left, err
}

// remove removes a segment, and makes that durable before the next one goes: a file system may forget a removal and keep a
// later one, which would leave a hole.
func (r pruneRun) remove(name string) error {
	if err := os.Remove(filepath.Join(r.dir, name)); err != nil {
		return err
	}
	return syncDir(r.dir)
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
