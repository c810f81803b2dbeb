package eventlog

import (
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// A commit that goes on at the end of what is in use of the file makes the file system write the inode, too, and wait for it, because these
// blocks are written for the first time and because bbolt asks for the size of the file. So a log of big groups gets room now and then: one
// commit writes a value of zeros, the next deletes it, and from then on bbolt has free pages in a row that were written before. They are in
// its freelist, as all free pages are, so that nothing changes for who checks or reads the file.
const (
	roomPages = 128 // at once; with those that are free anyway, their numbers fill half of the freelist's page
	roomLow   = 64  // free pages below which there is to be more
	roomFrom  = 128 // pages in use before there is to be any: a small log stays small
	roomSpare = 64  // as many times what is written must the file system have to spare
)

var (
	bucketRoom = []byte("room") // only there from one commit to the next
	keyRoom    = []byte("zeros")
	// zeros are never written to, so that they take no memory. The size of a page is 4,096 bytes nearly everywhere.
	zeros [roomPages * 4096]byte
)

// roomRule is when there is to be room: in pages; spare tells what the file system has to spare.
type roomRule struct {
	pages, low, from int
	spare            func(*os.File) int64
}

var usualRoom = roomRule{pages: roomPages, low: roomLow, from: roomFrom, spare: spareBytes}

// room makes room in tx, which is going to hold g, or gives bbolt what the commit before made.
func (s *segment) room(tx *bolt.Tx, g *group, rule *roomRule) error {
	if rule == nil {
		rule = &usualRoom
	}
	if s.roomHeld {
		if err := tx.DeleteBucket(bucketRoom); err != nil {
			return fmt.Errorf("giving room: %w", err)
		}
		s.roomHeld = false
		return nil
	}
	if g.small || !s.needsRoom(tx, rule) {
		return nil
	}
	b, err := tx.CreateBucket(bucketRoom)
	if err == nil {
		err = b.Put(keyRoom, zeros[:rule.pages*s.pageSize()-roomOverhead])
	}
	if err != nil {
		return fmt.Errorf("making room: %w", err)
	}
	s.roomHeld = true
	return nil
}

// roomOverhead is what a page has beside the value.
const roomOverhead = boltHeader + boltElement + len("zeros")

func (s *segment) pageSize() int { return s.db.Info().PageSize }

// needsRoom tells whether tx should make room. How many pages are free bbolt knows only after a commit.
func (s *segment) needsRoom(tx *bolt.Tx, rule *roomRule) bool {
	size := rule.pages * s.pageSize()
	if s.limited || size > len(zeros) || tx.Size() < int64(rule.from*s.pageSize()) {
		return false
	}
	st := s.db.Stats()
	return st.FreelistInuse > 0 && st.FreePageN+st.PendingPageN < rule.low && rule.spare(s.file) >= roomSpare*int64(size)
}

// spareBytes is half of what the file system of f has left; nothing if it is in memory, where whatever is asked for in advance would only
// be memory taken.
func spareBytes(f *os.File) int64 {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil || st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC {
		return 0
	}
	return int64(st.Bavail) * st.Bsize / 2
}
