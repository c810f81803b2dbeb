package eventlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// boltCheckTime is how long bbolt's own check of a segment may take.
const boltCheckTime = 30 * time.Second

// Problem is one fault that Verify found.
type Problem struct {
	Segment string `json:"segment"`
	// Seq is the last good one before the fault, or where the fault is, if that is known; otherwise 0.
	Seq  Seq    `json:"seq,omitempty"`
	What string `json:"what"`
}

func (p Problem) String() string {
	if p.Seq == 0 {
		return p.Segment + ": " + p.What
	}
	return fmt.Sprintf("%s: seq %d: %s", p.Segment, p.Seq, p.What)
}

// Report is what Verify found.
type Report struct {
	Segments int       `json:"segments"`
	Records  uint64    `json:"records"`
	Bytes    int64     `json:"bytes"` // of the files
	First    Seq       `json:"first"`
	Last     Seq       `json:"last"`
	LastGood Seq       `json:"last_good"` // every record from First through LastGood is as it was written
	Problems []Problem `json:"problems"`
}

// Clean tells that nothing is wrong.
func (r Report) Clean() bool { return len(r.Problems) == 0 }

// Verify checks everything in the log in dir: pages, every CRC, the chain through all segments, seqs without gaps, ends of
// transactions, seals, snapshots, keys, cursors, and what bbolt itself can check. Damage is not an error but a Problem; an error
// means that the check could not be made: no log there, a newer format, ctx ended, or a *HeldError because a daemon has the
// live segment, in which case the Report covers the segments before it. A roll that a crash interrupted is no Problem: every
// record is there, and the next Open finishes it. Nothing in dir is changed.
func Verify(ctx context.Context, dir string) (Report, error) {
	firsts, err := listSegments(dir)
	if err == nil && len(firsts) == 0 {
		err = fmt.Errorf("no segments: %w", os.ErrNotExist)
	}
	if err != nil {
		return Report{}, fmt.Errorf("verifying event log %s: %w", dir, err)
	}
	v := &verifier{ctx: ctx, progress: progress(ctx), last: firsts[len(firsts)-1] - 1, report: Report{First: firsts[0], Last: firsts[0] - 1, LastGood: firsts[0] - 1}}
	defer func() { v.progress(v.report.Records, v.report.Records) }()
	for i, first := range firsts {
		if err := v.segment(filepath.Join(dir, segmentName(first)), i == len(firsts)-1); err != nil {
			return v.report, fmt.Errorf("verifying event log %s: %w", dir, err)
		}
	}
	return v.report, nil
}

// verifier goes from segment to segment.
type verifier struct {
	ctx    context.Context
	report Report

	progress func(done, total uint64)
	last     Seq // of the log, as far as that is known

	name   string       // of the segment being checked
	before *segmentMeta // of the segment before; nil for the first and after one that could not be read
	end    tally        // of the segment before
	broken bool         // a record may be missing or changed, so LastGood stays where it is
	noSeal *Problem     // of the segment before: it has none; nil: it has
}

func (v *verifier) problem(seq Seq, what string) {
	v.report.Problems = append(v.report.Problems, Problem{Segment: v.name, Seq: seq, What: what})
}

func (v *verifier) segment(path string, live bool) error {
	if err := v.ctx.Err(); err != nil {
		return err
	}
	v.name = filepath.Base(path)
	open := func() (*segment, error) { return openSegment(path, openMode{}) }
	if live {
		open = func() (*segment, error) { return copyToMemory(path) }
	}
	s, err := open()
	if err != nil {
		v.before, v.broken = nil, true
		if err := v.damage(0, err); err != nil {
			return err
		}
		v.unsealed(false)
		return nil
	}
	defer s.close()
	if info, err := os.Stat(path); err == nil {
		v.report.Bytes += info.Size()
	}
	v.report.Segments++
	return v.opened(s, live)
}

// damage notes err as a problem if it is one, and returns it otherwise.
func (v *verifier) damage(seq Seq, err error) error {
	var held *HeldError
	if errors.Is(err, ErrNewerFormat) || errors.As(err, &held) || errors.Is(err, os.ErrPermission) {
		return err
	}
	v.problem(seq, err.Error())
	return nil
}

func (v *verifier) opened(s *segment, live bool) error {
	if v.link(s); s.oneMeta {
		v.problem(0, "one of two meta pages is damaged; the last commit before that may be missing")
	}
	if live {
		_ = s.view(func(tx *bolt.Tx) error { // what can't be read the scan finds
			v.last = max(v.last, Seq(tx.Bucket(bucketLog).Sequence()))
			return nil
		})
	}
	var epochs []uint32 // of the frames; they ascend
	end, err := s.scan(func(r Record) error {
		if n := len(epochs); n == 0 || epochs[n-1] != r.Epoch {
			epochs = append(epochs, r.Epoch)
		}
		if r.Seq%progressStep == 0 {
			v.progress(uint64(r.Seq-v.report.First), uint64(v.last-v.report.First)+1)
		}
		return v.ctx.Err()
	})
	if err := v.ctx.Err(); err != nil {
		return err
	}
	v.report.Records += end.Records
	v.report.Last = max(v.report.Last, end.Last)
	if !v.broken {
		v.report.LastGood = end.Last
	}
	if err != nil {
		v.broken = true
		if err := v.damage(end.Last, err); err != nil {
			return err
		}
	}
	v.unsealed(live && err == nil && end.Records == 0)
	v.before, v.end = &s.meta, end
	v.ending(s, live)
	v.extras(s, epochs)
	return v.boltCheck(s)
}

// link checks that s follows the segment before it.
func (v *verifier) link(s *segment) {
	fault := func(what string) {
		v.problem(s.meta.First, what)
		v.broken = true
	}
	if s.meta.First == 1 && s.meta.Prev != genesis(s.meta.LogID) {
		fault("the first segment does not begin with the log's own chain")
	}
	if v.before == nil {
		return
	}
	if s.meta.LogID != v.before.LogID {
		fault("belongs to another log than the segment before")
	}
	if s.meta.First != v.end.Last+1 {
		fault(fmt.Sprintf("the segment before ends at seq %d", v.end.Last))
	}
	if s.meta.Prev != v.end.Chain {
		fault("does not continue the chain of the segment before")
	}
}

func (v *verifier) ending(s *segment, live bool) {
	if live && s.seal != nil {
		v.problem(s.seal.Last, "is sealed, but its successor is not there")
	}
	if !live && s.seal == nil {
		v.noSeal = &Problem{Segment: v.name, Seq: v.end.Last, What: "is not sealed, and its successor has records"}
	}
}

// unsealed decides about the segment before, if that has no seal: it may do without when a crash interrupted the roll, after
// the next segment got its name and before that got a record.
func (v *verifier) unsealed(interrupted bool) {
	if v.noSeal != nil && !interrupted {
		v.report.Problems = append(v.report.Problems, *v.noSeal)
	}
	v.noSeal = nil
}

// extras checks what is not in the log proper. epochs are those of the frames.
func (v *verifier) extras(s *segment, epochs []uint32) {
	check := func(err error) {
		if err != nil {
			v.problem(0, err.Error())
		}
	}
	if s.meta.First > 1 {
		list, _, err := s.blob(blobKeys)
		if err == nil && list == nil {
			err = missing(blobKeys, nil)
		}
		if err == nil {
			err = newKeyTable().decode(list)
		}
		check(err)
		_, _, err = segmentSnapshot(s.path, s)
		check(err)
	}
	_, err := s.highestEpoch()
	check(err)
	check(s.checkEpochs(epochs))
	c := newCursors()
	check(c.load(s))
	for _, err := range c.bad {
		check(err)
	}
}

// checkEpochs wants an entry for each epoch.
func (s *segment) checkEpochs(epochs []uint32) error {
	return s.view(func(tx *bolt.Tx) error {
		for _, n := range epochs {
			if tx.Bucket(bucketMeta).Get([]byte(epochKey(n))) == nil {
				return missing(epochKey(n), nil)
			}
		}
		return nil
	})
}

// boltCheck runs bbolt's own check, which starts a goroutine and may not end on a file of garbage; the walk over its pages
// came before, so this is a second opinion. If it takes too long the segment stays open: the goroutine still reads its
// mapping.
func (v *verifier) boltCheck(s *segment) error {
	tx, err := s.db.Begin(false)
	if err != nil {
		return err
	}
	deadline := time.NewTimer(boltCheckTime)
	defer deadline.Stop()
	found := tx.Check()
	for {
		select {
		case err, ok := <-found:
			if !ok {
				return tx.Rollback()
			}
			v.problem(0, "bbolt: "+strings.TrimSpace(err.Error()))
		case <-v.ctx.Done():
			s.abandoned = true
			go drain(found)
			return v.ctx.Err()
		case <-deadline.C:
			v.problem(0, fmt.Sprintf("bbolt: check not done after %s", boltCheckTime))
			s.abandoned = true
			go drain(found)
			return nil
		}
	}
}

// drain lets a check that is no longer waited for end.
func drain(found <-chan error) {
	for range found {
	}
}
