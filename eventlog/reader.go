package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// Reader reads a log that it does not own: it never creates, repairs or locks anything in the directory for longer than it
// takes to copy the live segment into memory, so a daemon may start, write and prune meanwhile. It sees the log as it was
// when it was opened. Its methods may be called from any goroutine.
type Reader struct {
	dir    string
	firsts []Seq
	live   *segment   // a copy in memory; nil if a daemon holds it
	held   *HeldError // set if live is nil
	last   Seq
}

// OpenReader opens the log in dir for reading. Segments that are complete can always be read. The live one can be read when
// no daemon holds it; when one does, Records ends with a *HeldError where the live segment begins, and if there is nothing
// but a live segment, OpenReader itself returns it, at once.
func OpenReader(dir string) (*Reader, error) {
	r := &Reader{dir: dir}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("opening event log %s for reading: %w", dir, err)
	}
	return r, nil
}

func (r *Reader) open() (err error) {
	if r.firsts, err = listSegments(r.dir); err != nil {
		return err
	}
	n := len(r.firsts)
	if n == 0 {
		return fmt.Errorf("no segments: %w", os.ErrNotExist)
	}
	r.last = r.firsts[n-1] - 1
	r.live, err = copyToMemory(filepath.Join(r.dir, segmentName(r.firsts[n-1])))
	if err == nil {
		err = r.live.view(func(tx *bolt.Tx) error {
			r.last = Seq(tx.Bucket(bucketLog).Sequence())
			return nil
		})
		return err
	}
	if errors.As(err, &r.held) && n > 1 {
		return nil
	}
	return err
}

// copyToMemory opens a copy of the segment at path, which no writer may hold open. bbolt can't be let near the file itself:
// it locks it for as long as it is open, and a daemon could not start.
func copyToMemory(path string) (*segment, error) {
	src, err := openRegular(path, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	if err := unix.Flock(int(src.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, heldBy(filepath.Dir(path))
		}
		return nil, fmt.Errorf("locking %s: %w", filepath.Base(path), err)
	}
	fd, err := unix.MemfdCreate("eventlog", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("making room in memory: %w", err)
	}
	dst := os.NewFile(uintptr(fd), filepath.Base(path))
	if err := copyUsed(dst, src); err != nil {
		_ = dst.Close()
		return nil, fmt.Errorf("copying %s into memory: %w", filepath.Base(path), err)
	}
	return openCopy(path, dst)
}

// copyUsed copies the pages in use of a bbolt file, or all of a damaged one.
func copyUsed(dst, src *os.File) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if meta, _, err := readBoltMetas(src); err == nil && meta.high <= uint64(size/meta.pageSize) {
		size = int64(meta.high) * meta.pageSize
	}
	_, err = io.Copy(dst, io.NewSectionReader(src, 0, size))
	return err
}

// First is the first seq that is left. In an empty log it is the one that comes next.
func (r *Reader) First() Seq { return r.firsts[0] }

// Last is the last seq that can be read, 0 if there is none. If Held, the log goes on after it.
func (r *Reader) Last() Seq { return r.last }

// Held returns who holds the live segment, nil if it can be read.
func (r *Reader) Held() *HeldError { return r.held }

// Records yields all records from seq from on, and ends; 0 means from the first that is left, and an older one yields
// ErrPruned. If a daemon holds the live segment, a *HeldError comes after the last record. After an error it ends.
func (r *Reader) Records(from Seq) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if from == 0 {
			from = r.First()
		}
		var sealed sealedSource
		defer sealed.close()
		get := func(seq Seq) ([]*frame, error) {
			if r.live != nil && seq >= r.live.meta.First {
				return r.live.read(seq)
			}
			return sealed.fetch(r.dir, r.firsts, seq)
		}
		if eachRecord(get, from, r.last, yield) && r.held != nil {
			yield(Record{}, fmt.Errorf("reading from seq %d: %w", r.last+1, r.held))
		}
	}
}

// SnapshotBefore returns the newest good snapshot of the state through a seq at that is not above seq; nil at 0 if the log
// begins before. Records from at+1 on lead to seq.
func (r *Reader) SnapshotBefore(seq Seq) (data []byte, at Seq, err error) {
	return snapshotBefore(r.dir, r.firsts, r.live, seq)
}

// Stats describes the log. Of a live segment that is held only name, first seq and size are known. It reads the live segment until ctx ends.
func (r *Reader) Stats(ctx context.Context) (Stats, error) {
	var mark uint64
	if r.live != nil {
		mark = r.live.meta.Mark
	}
	infos, err := segmentInfos(r.dir, r.firsts, mark)
	if err != nil {
		return Stats{}, fmt.Errorf("reading stats: %w", err)
	}
	s := Stats{Segments: infos}
	if r.live != nil {
		live := &infos[len(infos)-1]
		t, err := r.live.scan(func(Record) error { return ctx.Err() })
		if err != nil {
			return Stats{}, fmt.Errorf("reading stats: %w", err)
		}
		live.fill(t)
	}
	s.sum()
	return s, nil
}

// Close lets go of the copy of the live segment.
func (r *Reader) Close() error {
	if r.live == nil {
		return nil
	}
	live := r.live
	r.live, r.held = nil, &HeldError{Dir: r.dir}
	return live.close()
}
