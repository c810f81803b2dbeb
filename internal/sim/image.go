package sim

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// sector is what a disk writes whole, and page is what bbolt does: the first two of a file
// are those that say which commit counts.
const (
	sector = 512
	page   = 4096
)

// copyLog copies the segments of a log, as they are now, into a new folder.
func copyLog(from, to string) error {
	if err := os.MkdirAll(to, 0o750); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == "LOCK" {
			continue
		}
		if err := copyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer dst.Close()
	if err := dst.Truncate(info.Size()); err != nil {
		return err
	}
	err = eachExtent(src, info.Size(), func(at, n int64) error {
		_, err := io.Copy(io.NewOffsetWriter(dst, at), io.NewSectionReader(src, at, n))
		return err
	})
	return errors.Join(err, dst.Chmod(info.Mode().Perm()))
}

// eachExtent goes through what isn't a hole of a file: segments are mostly room.
func eachExtent(f *os.File, size int64, do func(at, n int64) error) error {
	const seekData, seekHole = 3, 4
	for at := int64(0); at < size; {
		begin, err := f.Seek(at, seekData)
		if errors.Is(err, syscall.ENXIO) {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := f.Seek(begin, seekHole)
		if err != nil {
			return err
		}
		if err := do(begin, end-begin); err != nil {
			return err
		}
		at = end
	}
	return nil
}

// tearing says what of a commit reached the disk.
type tearing int

const (
	tornNothing tearing = iota // as before the commit
	tornData                   // some of the data, which nothing points to
	tornMeta                   // all the data, and a part of the page that points to it
	tornDone                   // all of it
	tearings    = 4
)

// tear makes of image, a copy from before a commit, what a power cut leaves of it: part of
// the sectors that the commit changed. dir has the log after it.
func tear(dir, image string, how tearing, rng *rand.Rand) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(image, e.Name())
		if _, err := os.Stat(name); err != nil || !strings.HasSuffix(e.Name(), ".db") {
			continue
		}
		if err := tearFile(filepath.Join(dir, e.Name()), name, how, rng); err != nil {
			return err
		}
	}
	return nil
}

func tearFile(from, image string, how tearing, rng *rand.Rand) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o200 == 0 {
		return nil // sealed before
	}
	dst, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer dst.Close()
	if how != tornNothing {
		if err := dst.Truncate(info.Size()); err != nil {
			return err
		}
	}
	// A stream of its own: where bbolt puts its pages is chance, and must not decide what is
	// drawn after.
	draw := rand.New(rand.NewPCG(rng.Uint64(), 0))
	old, changed := make([]byte, sector), make([]byte, sector)
	return eachExtent(src, info.Size(), func(at, n int64) error {
		for ; n > 0; at, n = at+sector, n-sector {
			if _, err := src.ReadAt(changed, at); err != nil {
				return err
			}
			if _, err := dst.ReadAt(old, at); err != nil && !errors.Is(err, io.EOF) {
				return err
			}
			if bytes.Equal(old, changed) {
				continue
			}
			if _, err := dst.WriteAt(torn(old, changed, at < 2*page, how, draw), at); err != nil {
				return err
			}
		}
		return nil
	})
}

// torn is what is in a sector that a commit changed.
func torn(old, changed []byte, meta bool, how tearing, rng *rand.Rand) []byte {
	switch {
	case how == tornDone, how == tornMeta && !meta, how == tornData && !meta && rng.IntN(2) == 0:
		return changed
	case how == tornMeta:
		// The page's head and the meta in it are 80 bytes, with a checksum at the end.
		cut := 24 + rng.IntN(48)
		return append(bytes.Clone(changed[:cut]), old[cut:]...)
	}
	return old
}
