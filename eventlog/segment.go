package eventlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

const (
	segmentSuffix = ".db"
	tempSuffix    = ".tmp" // of a segment that is being made
	segmentDigits = 20

	modeLive   = 0o600
	modeSealed = 0o400

	// liveMap is mapped up front: with less the writer has to wait for readers when the file outgrows it.
	liveMap = 1 << 30
	// fileWait is how long to wait for a reader that has the file of a segment locked while it copies it.
	fileWait = 5 * time.Second
)

func segmentName(first Seq) string { return fmt.Sprintf("%0*d%s", segmentDigits, first, segmentSuffix) }

// listSegments returns the first seqs of the segments in dir, ascending, by their names.
func listSegments(dir string) ([]Seq, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing segments: %w", err)
	}
	var firsts []Seq
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok || len(digits) != segmentDigits {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || n == 0 {
			continue
		}
		firsts = append(firsts, Seq(n))
	}
	slices.Sort(firsts)
	return firsts, nil
}

// segment is an open segment file.
type segment struct {
	path string
	file *os.File // bbolt's own
	db   *bolt.DB
	meta segmentMeta
	seal *seal // nil for the live segment
	// doubt is what there was about the newest commit when the file was opened.
	doubt doubt
	trail trail // of commits
	// once: the newest commit is one of this process, and announced that the next may be synced once.
	once    bool
	metaSum *chain // of the bucket "meta"; nil before the first commit, with which an epoch gets its entry, and before the seal
	// oneMeta: one of bbolt's two meta pages was damaged when the file was opened.
	oneMeta bool
	// abandoned: a goroutine of bbolt may still read the mapping, so that it can't be closed.
	abandoned bool
	limited   bool // by Options.MaxSize
	roomHeld  bool // there is a bucket "room"
}

// guard runs fn and turns a panic of bbolt, or a page that can't be read, into an error.
func guard(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			err = fmt.Errorf("bbolt panicked: %v: %w", r, ErrCorrupt)
		}
	}()
	return fn()
}

// view runs fn in a read transaction. Keep it short.
func (s *segment) view(fn func(*bolt.Tx) error) error {
	return guard(func() error { return s.db.View(fn) })
}

// checkName makes sure that the open file is the one in the directory: what is committed to a file that was removed is lost.
// It asks for nothing but the identity: once its times were asked for, Linux gives a file new ones with the next write, even within
// a tick of the clock, so that every commit would change the inode too.
func (s *segment) checkName() error {
	named, err := identify(unix.AT_FDCWD, s.path)
	if err != nil {
		return fmt.Errorf("the live segment is gone: %w", err)
	}
	ours, err := identify(int(s.file.Fd()), "")
	if err == nil && named != ours {
		err = fmt.Errorf("the live segment %s was replaced by another file", s.path)
	}
	return err
}

// identity tells files apart as long as they are open or have a name.
type identity struct {
	major, minor uint32
	inode        uint64
}

// identify gives the identity of path, which isn't followed, or with an empty path that of the open file at.
func identify(at int, path string) (identity, error) {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if path == "" {
		flags = unix.AT_EMPTY_PATH
	}
	for {
		var st unix.Statx_t
		err := unix.Statx(at, path, flags, unix.STATX_INO, &st)
		if err == nil {
			return identity{st.Dev_major, st.Dev_minor, st.Ino}, nil
		}
		if !errors.Is(err, unix.EINTR) { // as file systems in user space may say
			return identity{}, &fs.PathError{Op: "statx", Path: path, Err: err}
		}
	}
}

func (s *segment) close() error {
	if s.abandoned {
		return nil
	}
	if err := guard(s.db.Close); err != nil {
		return fmt.Errorf("closing segment %s: %w", filepath.Base(s.path), err)
	}
	return nil
}

// boltOptions are shared by all opens. The freelist is written (it is one page here, for nothing is ever deleted), since
// without it bbolt scans the file in goroutines whose panics nobody can catch.
//
// keep is set to the file that is opened, or opened in place of one if it is set already.
func boltOptions(keep **os.File) *bolt.Options {
	opened := false // bbolt opens the destination of a copy by the same function
	return &bolt.Options{
		Timeout:      fileWait,
		FreelistType: bolt.FreelistArrayType, // it gives the lowest pages, so that few places of the file are written
		OpenFile: func(path string, flag int, mode os.FileMode) (f *os.File, err error) {
			if opened {
				return openRegular(path, flag, mode)
			}
			if opened = true; *keep == nil {
				*keep, err = openRegular(path, flag, mode)
			}
			return *keep, err
		},
	}
}

// openBolt opens path with o. Whatever happens, a file that could not be opened is not left open.
func (s *segment) openBolt(o *bolt.Options, mode os.FileMode) error {
	err := guard(func() (err error) {
		s.db, err = bolt.Open(s.path, mode, o)
		return err
	})
	if err == nil {
		return nil
	}
	if s.file != nil {
		_ = s.file.Close() // bbolt may have closed it already
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return heldBy(filepath.Dir(s.path))
	}
	return err
}

// checkFile looks at the pages of the file before bbolt does.
func (s *segment) checkFile(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	both, err := checkPages(f, info.Size())
	s.oneMeta = !both
	return err
}

// openMode says what a segment is opened for.
type openMode struct {
	write  bool // as the live segment
	quick  bool // only for its meta entries: the pages are not walked, so don't read anything else
	noSync bool
	trust  bool // in what the newest commit says: a negative control
	limit  int  // in bytes, 0 for none
}

// openSegment opens the existing file path. Its pages (unless quick) and meta entries are checked, its frames are not.
func openSegment(path string, mode openMode) (*segment, error) {
	s := &segment{path: path}
	if err := s.open(mode); err != nil {
		return nil, fmt.Errorf("opening segment %s: %w", filepath.Base(path), err)
	}
	return s, nil
}

func (s *segment) open(mode openMode) (err error) {
	if mode.write && !mode.trust {
		if s.doubt, err = settle(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := openRegular(s.path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrPruned, err)
	}
	if err != nil {
		return err
	}
	if !mode.quick {
		err = s.checkFile(f)
	}
	if mode.write {
		s.trail = trailOf(f)
	}
	_ = f.Close()
	if err != nil {
		return err
	}
	o := boltOptions(&s.file)
	o.ReadOnly, o.NoSync, o.MaxSize = !mode.write, mode.noSync, mode.limit
	o.NoStatistics, s.limited = !mode.write, mode.limit > 0
	if mode.write {
		o.InitialMmapSize = liveMap
	}
	if err := s.openBolt(o, modeLive); err != nil {
		return err
	}
	return s.readMeta()
}

// openCopy opens a file that has no name, such as a copy in memory of the segment at path. It takes over f.
func openCopy(path string, f *os.File) (*segment, error) {
	s := &segment{path: path, file: f}
	_, err := dropCutOff(f, filepath.Base(path))
	if err == nil {
		err = s.checkFile(f)
	}
	if err != nil {
		_ = f.Close()
	} else {
		o := boltOptions(&s.file)
		o.ReadOnly, o.NoStatistics = true, true
		if err = s.openBolt(o, modeLive); err == nil {
			err = s.readMeta()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening segment %s: %w", filepath.Base(path), err)
	}
	return s, nil
}

// readMeta fills s from the open file and closes it on errors.
func (s *segment) readMeta() error {
	err := s.view(func(tx *bolt.Tx) (err error) {
		s.meta, s.seal, err = readMeta(tx)
		s.roomHeld = tx.Bucket(bucketRoom) != nil
		return err
	})
	if err == nil && filepath.Base(s.path) != segmentName(s.meta.First) && !strings.HasSuffix(s.path, tempSuffix) {
		err = fmt.Errorf("file name and first seq %d differ: %w", s.meta.First, ErrCorrupt)
	}
	if err != nil {
		_ = s.close()
	}
	return err
}

// makeSegment creates the file path with its first transaction, fill, and room for SegmentBytes, and syncs it.
func makeSegment(path string, opts Options, fill func(*bolt.Tx) error) (*segment, error) {
	s := &segment{path: path}
	o := boltOptions(&s.file)
	o.InitialMmapSize, o.NoSync, o.MaxSize = liveMap, opts.NoSync, opts.MaxSize
	s.limited = opts.MaxSize > 0
	if err := s.openBolt(o, modeLive); err != nil {
		return nil, err
	}
	preallocate(s.file, opts.SegmentBytes)
	err := guard(func() error { return s.db.Update(fill) })
	if err == nil {
		err = s.file.Sync()
	}
	if err == nil {
		err = s.readMeta()
	} else {
		_ = s.close()
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// preallocate asks the file system for size bytes, or for less when it has not that much to spare: a log on a nearly full
// disk must still work. It is a matter of speed and of early notice only, so its errors don't matter.
func preallocate(f *os.File, size int64) {
	spare := spareBytes(f)
	for ; size >= 1<<20; size /= 2 {
		if size > spare {
			continue
		}
		if err := unix.Fallocate(int(f.Fd()), 0, 0, size); !errors.Is(err, unix.ENOSPC) {
			return
		}
	}
}

// openRegular opens a file of the log. What stands under its name and is no regular file was put there by somebody else: a
// symbolic link is not followed, a FIFO not waited for. It is the open file that is looked at: its name may be another's by then.
func openRegular(path string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(path, flag|unix.O_NOFOLLOW|unix.O_NONBLOCK, mode)
	look := func() (os.FileInfo, error) { return os.Lstat(path) } // only for the reason
	if err == nil {
		look = f.Stat
	}
	if info, strange := look(); strange == nil && !info.Mode().IsRegular() {
		if err == nil {
			_ = f.Close()
		}
		return nil, fmt.Errorf("%s is no regular file (%s)", path, info.Mode().Type())
	}
	return f, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// syncAncestors syncs the directory that dir is in, and all above it: some of them may have been made for the log just
// now, here or by the caller, and a log is lost with the entry of any of them. What may not be opened was there before.
func syncAncestors(dir string) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for parent := filepath.Dir(path); ; parent = filepath.Dir(parent) {
		if err := syncDir(parent); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}
