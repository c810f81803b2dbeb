package eventlog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// SegmentInfo describes one segment.
type SegmentInfo struct {
	Name    string    `json:"name"`
	Sealed  bool      `json:"sealed"`
	First   Seq       `json:"first"`
	Last    Seq       `json:"last"`          // First-1 if it has no record; 0 if not known: not sealed and held by another program
	Mark    uint64    `json:"mark"`          // Snapshot.Mark of its snapshot
	Time    time.Time `json:"time,omitzero"` // of its last record; zero if it has none
	Bytes   int64     `json:"bytes"`         // of the file; a live one is longer than what is in it
	Records uint64    `json:"records"`
	Frames  uint64    `json:"frames"`
	Raw     int64     `json:"raw_bytes"`    // payload before compression
	Stored  int64     `json:"stored_bytes"` // frames on disk
}

func (i *SegmentInfo) fill(t tally) {
	i.Last, i.Records, i.Frames, i.Raw, i.Stored = t.Last, t.Records, t.Frames, t.Raw, t.Stored
	if t.Records > 0 {
		i.Time = time.Unix(0, t.Time)
	}
}

// Stats describes a log. Totals are over Segments.
type Stats struct {
	First    Seq           `json:"first"`
	Last     Seq           `json:"last"`
	Records  uint64        `json:"records"`
	Frames   uint64        `json:"frames"`
	Bytes    int64         `json:"bytes"`
	Raw      int64         `json:"raw_bytes"`
	Stored   int64         `json:"stored_bytes"`
	Segments []SegmentInfo `json:"segments"`

	// Only of a Log: the epoch of this opening, commits since it, what waits for the committer, and what Open mended.
	Epoch     uint32   `json:"epoch,omitempty"`
	Commits   uint64   `json:"commits,omitempty"`
	Waiting   int      `json:"waiting,omitempty"`
	Recovered []string `json:"recovered,omitempty"`
}

func (s *Stats) sum() {
	for i, info := range s.Segments {
		if i == 0 {
			s.First = info.First
		}
		s.Last = max(s.Last, info.Last)
		s.Records += info.Records
		s.Frames += info.Frames
		s.Bytes += info.Bytes
		s.Raw += info.Raw
		s.Stored += info.Stored
	}
}

// Stats describes the log and this opening of it. It reads the seals of all segments.
func (l *Log) Stats() (Stats, error) {
	l.segMu.RLock()
	defer l.segMu.RUnlock()
	if l.live == nil {
		return Stats{}, fmt.Errorf("reading stats: %w", ErrClosed)
	}
	infos, err := l.infos.read(l.dir, l.firsts, l.live.meta.Mark)
	if err != nil {
		return Stats{}, fmt.Errorf("reading stats: %w", err)
	}
	live := &infos[len(infos)-1]
	l.statsMu.Lock()
	live.fill(l.tally)
	l.statsMu.Unlock()
	s := Stats{
		Segments: infos, Epoch: l.epoch.Epoch, Commits: l.commits.Load(), Waiting: l.queue.waiting(), Recovered: l.recovered,
	}
	s.sum()
	return s, nil
}

// sealedInfos remembers what the seals of segments say: it doesn't change any more.
type sealedInfos struct {
	mu    sync.Mutex
	known map[Seq]SegmentInfo
}

// read is segmentInfos, from memory where that has it.
func (k *sealedInfos) read(dir string, firsts []Seq, liveMark uint64) ([]SegmentInfo, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	infos, err := readInfos(dir, firsts, liveMark, k.known)
	if err != nil {
		return nil, err
	}
	k.known = make(map[Seq]SegmentInfo, len(infos)) // without those that were pruned
	for _, i := range infos {
		if i.Sealed {
			k.known[i.First] = i
		}
	}
	return infos, nil
}

// segmentInfos reads the meta entries of all segments but the last, which may be held; its mark is given.
func segmentInfos(dir string, firsts []Seq, liveMark uint64) ([]SegmentInfo, error) {
	return readInfos(dir, firsts, liveMark, nil)
}

// readInfos is segmentInfos for those that aren't known, several at once: each waits for the kernel most of the time.
func readInfos(dir string, firsts []Seq, liveMark uint64, known map[Seq]SegmentInfo) ([]SegmentInfo, error) {
	infos, errs := make([]SegmentInfo, len(firsts)), make([]error, len(firsts))
	var next atomic.Int64
	var readers sync.WaitGroup
	for range min(len(firsts), runtime.GOMAXPROCS(0)) {
		readers.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(firsts); i = int(next.Add(1)) - 1 {
				infos[i], errs[i] = readInfo(dir, firsts[i], i == len(firsts)-1, known)
			}
		})
	}
	readers.Wait()
	infos[len(infos)-1].Mark = liveMark
	return infos, errors.Join(errs...)
}

func readInfo(dir string, first Seq, live bool, known map[Seq]SegmentInfo) (SegmentInfo, error) {
	path := filepath.Join(dir, segmentName(first))
	info, sealed := known[first]
	if live || !sealed {
		info = SegmentInfo{Name: filepath.Base(path), First: first}
	}
	file, err := os.Lstat(path)
	if err != nil {
		return info, err
	}
	if info.Bytes = file.Size(); !live && !info.Sealed {
		err = info.read(path)
	}
	return info, err
}

func (i *SegmentInfo) read(path string) error {
	s, err := openSegment(path, openMode{quick: true})
	if err != nil {
		return err
	}
	defer s.close()
	i.Mark = s.meta.Mark
	if s.seal != nil {
		i.Sealed = true
		i.fill(s.seal.tally)
	}
	return nil
}
