package eventlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"

	"github.com/zeebo/blake3"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// A commit of bbolt waits for the disk twice: pages, fdatasync, meta page, fdatasync. Where one big group follows another the log waits
// once, for all of it, which takes a third off. A power cut may then leave the meta page of a commit without some of its pages, and old ones
// in their places, which look as good. So:
//
//   - Each commit notes a sum of its number, of the end of the chain, and of the small entries. A tree whose pages are whole, whose frames are
//     chained, and which has the sum that follows from that and from the number in its meta page is what that commit wrote.
//   - A bit of the sum announces that the commit after this one may be synced once. Only then is a tree that isn't whole taken for one that
//     was cut off before anybody was told of it, and dropped: the tree before it is on the disk, and bbolt writes over no page of that until
//     the next commit is done. Without the announcement it is damage.
//   - When big groups come to an end, empty commits follow, synced twice, until neither meta page is of a commit that announced something. So damage
//     to what was acknowledged can be taken for a power cut only in the moment after it was written.

// bucketSum has nothing in it: its sequence is the sum of the newest commit.
var bucketSum = []byte("sum")

// announces is the bit of a sum that says that the next commit may be synced once.
const announces = 1

// sums are digests of what a commit may change beside the log.
type sums struct{ meta, cursors chain }

// sumEntries digests the entries of a bucket, which each gives in the order of their keys.
func sumEntries(each func(func(k, v []byte) error) error) (sum chain, err error) {
	hash := blake3.New()
	err = each(func(k, v []byte) error {
		var sizes [8]byte
		binary.BigEndian.PutUint32(sizes[:], uint32(len(k)))
		binary.BigEndian.PutUint32(sizes[4:], uint32(len(v)))
		for _, b := range [][]byte{sizes[:], k, v} {
			_, _ = hash.Write(b) // never fails
		}
		return nil
	})
	hash.Sum(sum[:0])
	return sum, err
}

// commitSum is the sum of the commit with the number txid, after which the chain ends so.
func commitSum(txid uint64, end chain, s sums, announced bool) uint64 {
	b := le.AppendUint64(make([]byte, 0, 8+3*len(end)+1), txid)
	b = append(append(append(b, end[:]...), s.meta[:]...), s.cursors[:]...)
	bit := byte(0)
	if announced {
		bit = announces
	}
	hash := blake3.Sum256(append(b, bit))
	return le.Uint64(hash[:])&^announces | uint64(bit)
}

// putSum notes the sum of the commit that tx will be, after all else of it.
func (s *segment) putSum(tx *bolt.Tx, end chain, announced bool) (err error) {
	var now sums
	if s.metaSum == nil {
		if now.meta, err = sumEntries(tx.Bucket(bucketMeta).ForEach); err != nil {
			return err
		}
		s.metaSum = &now.meta
	}
	now.meta = *s.metaSum
	if now.cursors, err = sumEntries(tx.Bucket(bucketCursor).ForEach); err != nil {
		return err
	}
	b, err := tx.CreateBucketIfNotExists(bucketSum)
	if err == nil {
		err = b.SetSequence(commitSum(uint64(tx.ID()), end, now, announced))
	}
	if err != nil {
		return fmt.Errorf("noting the sum of a commit: %w", err)
	}
	return nil
}

// trail is what a segment's two newest commits announced.
type trail struct{ newest, older bool }

// loud: there is one that announced something.
func (t trail) loud() bool { return t.newest || t.older }

func (t trail) then(announced bool) trail { return trail{newest: announced, older: t.newest} }

// syncOnce has a commit, which store makes, synced once.
func (s *segment) syncOnce(store func() error) error {
	s.db.NoSync = true
	defer func() { s.db.NoSync = false }()
	if err := store(); err != nil {
		return err
	}
	if err := fdatasync(s.file); err != nil {
		return err
	}
	return stillWrites(s.file)
}

// stillWrites asks, by a write of nothing, whether the file system takes writes. ext4 that is shut down while it handles an fdatasync (because of an
// error, or by EXT4_IOC_SHUTDOWN) may drop the note that new blocks are in use now, and report success all the same (ext4_end_io_end in
// fs/ext4/page-io.c); whatever comes after that it refuses. Of a commit that is synced twice the second fdatasync notices.
func stillWrites(f *os.File) error {
	for {
		_, err := unix.Pwrite(int(f.Fd()), nil, 0)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return &os.PathError{Op: "pwrite", Path: f.Name(), Err: err}
		}
	}
}

func fdatasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) { // as file systems in user space may say
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// newestCommits are the meta pages of a file, the newest first, if both are valid and one follows the other.
func newestCommits(f *os.File) (newest, older boltMeta, ok bool) {
	metas := boltMetas(f)
	if len(metas) != 2 || metas[1].txid+1 != metas[0].txid {
		return newest, older, false
	}
	return metas[0], metas[1], true
}

// announced tells whether the tree of m says that it announced something, be it right or not.
func (m boltMeta) announced(f io.ReaderAt) (announced bool) {
	w := &pageWalk{f: f, meta: m, used: make([]bool, m.high)}
	_ = w.each(m.root, span{}, 0, func(isBucket bool, k, v []byte) error {
		announced = announced || isBucket && string(k) == string(bucketSum) && len(v) >= 16 && le.Uint64(v[8:])&announces != 0
		return nil
	})
	return announced
}

// trailOf is what the commits of a file's meta pages say that they announced. If there is only one, or another in the place of the one before
// the newest, the newest counts all the same: it stays where it is when the next one comes.
func trailOf(f *os.File) (t trail) {
	for i, m := range boltMetas(f) {
		if i == 0 {
			t.newest = m.announced(f)
		} else {
			t.older = m.announced(f)
		}
	}
	return t
}

// doubt is what the meta pages of a file leave open.
type doubt int

const (
	noDoubt doubt = iota // the newest commit was synced twice: if its tree isn't whole, that is damage
	isThere              // it may have been synced once, and is whole
	cutOff               // it was synced once, and isn't whole
)

// doubtOf looks whether the newest commit of the segment in f, which is called name, was cut off.
func doubtOf(f *os.File, name string) (d doubt, newest, older boltMeta) {
	newest, older, ok := newestCommits(f)
	if !ok || !older.announced(f) {
		return noDoubt, newest, older
	}
	snap, whole := older.isWhole(f, name)
	if !whole {
		return noDoubt, newest, older
	}
	if same, whole := newest.isWhole(f, name); !whole || !maps.EqualFunc(snap, same, bytes.Equal) {
		return cutOff, newest, older
	}
	return isThere, newest, older
}

// isWhole: the tree of m is what the commit of that number wrote, if its bucket "snap", which no commit changes, is as it was. A value in it
// may be damaged: an open log goes on with that.
func (m boltMeta) isWhole(f io.ReaderAt, name string) (snap wreckBucket, whole bool) {
	w := &wreck{name: name}
	err := w.read(&pageWalk{f: f, meta: m, used: make([]bool, m.high)})
	return w.snap, err == nil && w.sound() && w.complete && w.summed
}

// dropCutOff puts the commit before in the place of the newest if that was cut off.
func dropCutOff(f *os.File, name string) (d doubt, err error) {
	d, newest, older := doubtOf(f, name)
	if d == cutOff {
		err = older.putInPlaceOf(f, newest)
	}
	return d, err
}

// settle makes the newest commit of the segment at path one that can be relied on before it is written to. One that was cut off is dropped.
// Any other may be in memory alone, because who wrote it was killed before its last fdatasync came to an end, or because that failed, and then
// nobody will write it any more. So what that fdatasync was for is written once more: all, or the meta pages.
func settle(path string) (d doubt, err error) {
	f, err := openRegular(path, os.O_RDWR, 0)
	if err != nil {
		return noDoubt, err
	}
	defer f.Close()
	d, err = dropCutOff(f, filepath.Base(path))
	switch {
	case err != nil || d == cutOff:
	case d == isThere:
		err = writeAgain(f)
	default:
		err = writeMetasAgain(f)
	}
	if err == nil {
		err = fdatasync(f)
	}
	return d, err
}

// writeMetasAgain writes the valid meta pages to where they are.
func writeMetasAgain(f *os.File) error {
	newest, both, err := readBoltMetas(f)
	if err != nil || !both {
		return nil //nolint:nilerr // it is for who checks the file to tell
	}
	for _, at := range []int64{0, newest.pageSize} {
		var b [boltHeader + boltMetaSize]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			return err
		}
		if _, err := f.WriteAt(b[:], at); err != nil {
			return err
		}
	}
	return nil
}

// writeAgain writes what is in use of a file to where it is.
func writeAgain(f *os.File) error {
	m, _, err := readBoltMetas(f)
	if err != nil {
		return err
	}
	size := int64(m.high) * m.pageSize
	b := make([]byte, min(size, readAheadBuffer))
	for at := int64(0); at < size; at += int64(len(b)) {
		b = b[:min(int64(len(b)), size-at)]
		if _, err := f.ReadAt(b, at); err != nil {
			return err
		}
		if _, err := f.WriteAt(b, at); err != nil {
			return err
		}
	}
	return nil
}

// putInPlaceOf writes m over the meta page of newest, as the commit before m: of the same tree.
func (m boltMeta) putInPlaceOf(f *os.File, newest boltMeta) error {
	var b [boltHeader + boltMetaSize]byte
	place := int64(newest.txid % 2)
	if _, err := f.ReadAt(b[:], (1-place)*m.pageSize); err != nil {
		return err
	}
	if got, ok := parseBoltMeta(b[:]); !ok || got.txid != m.txid {
		return fmt.Errorf("the meta page of commit %d isn't in its place: %w", m.txid, ErrCorrupt)
	}
	le.PutUint64(b[:], uint64(place))
	le.PutUint64(b[boltHeader+48:], m.txid-1)
	le.PutUint64(b[boltHeader+56:], boltChecksum(b[boltHeader:]))
	_, err := f.WriteAt(b[:], place*m.pageSize)
	return err
}
