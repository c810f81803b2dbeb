package eventlog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const lockName = "LOCK"

// Holder names the program that has a log open for writing.
type Holder struct {
	PID     int       `json:"pid"`
	Version string    `json:"version"`
	Bus     string    `json:"bus"` // where it can be asked, e.g. the path of its socket
	Since   time.Time `json:"since"`
}

// HeldError says that another program, or another Log of this one, has the log open for writing.
type HeldError struct {
	Dir    string
	Holder // zero if it had not yet written its name
}

func (e *HeldError) Error() string {
	h := e.Holder
	if h.PID == 0 {
		return fmt.Sprintf("event log %s is held by another program", e.Dir)
	}
	s := fmt.Sprintf("event log %s is held by pid %d", e.Dir, h.PID)
	if h.Version != "" {
		s += " (version " + h.Version + ")"
	}
	if !h.Since.IsZero() {
		s += " since " + h.Since.Format(time.RFC3339)
	}
	if h.Bus != "" {
		s += "; it can be asked at unix:" + h.Bus
	}
	return s
}

// lockFile is a held LOCK. The kernel lets go of it when the process ends, however it ends.
type lockFile struct{ f *os.File }

// lockDir takes the LOCK of dir at once or returns a *HeldError. Who may read the file may hold it, too, so that it is
// open to its owner alone.
func lockDir(dir string, h Holder) (*lockFile, error) {
	f, err := openRegular(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &HeldError{Dir: dir, Holder: readHolder(f)}
		}
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	if err := writeHolder(f, h); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return &lockFile{f}, nil
}

func (l *lockFile) release() error { return l.f.Close() }

func writeHolder(f *os.File, h Holder) error {
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(append(b, '\n'), 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(b)) + 1)
}

// readHolder returns what stands in a LOCK. It is only for messages, so an unreadable one is the zero Holder.
func readHolder(f io.ReaderAt) (h Holder) {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 64<<10))
	if err != nil || json.Unmarshal(b, &h) != nil {
		return Holder{}
	}
	return h
}

// heldBy is the *HeldError for dir with the name that stands in its LOCK.
func heldBy(dir string) *HeldError {
	f, err := openRegular(filepath.Join(dir, lockName), os.O_RDONLY, 0)
	if err != nil {
		return &HeldError{Dir: dir}
	}
	defer f.Close()
	return &HeldError{Dir: dir, Holder: readHolder(f)}
}
