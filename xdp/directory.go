package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ErrInUse means that another process steers in this network namespace.
var ErrInUse = errors.New("another process steers in this network namespace")

// ErrNotThere means that nothing is pinned for this network namespace.
var ErrNotThere = errors.New("nothing is pinned for this network namespace")

// directory is where the pins of this network namespace are:
//
//	BPFFS/lqosd/netns-1/              of the namespace with cookie 1
//	  v2-9f86d081/                    maps: their version and the fingerprint of their shapes
//	    prefixes cache circuits counts settings cpus
//	    programs-60303ae2/            and the fingerprint of their code
//	      enter_internet …
//	  links/xdp-7, tcx-7              bpf_links by hook and index of the link
//	  layout                          a note: the Layout, as JSON
//	  queue-7-tx-0-xps_cpus           a note: what was in this file of tx queue 0 of link 7
//	  tags-7                          a note: by which features its card took VLAN tags off
//
// No name has a dot: a bpffs refuses it.
type directory struct {
	fs   *bpffs
	path string
	lock *os.File // nil for one that only looks
}

const (
	ourFolder   = "lqosd"
	linksFolder = "links"
	layoutNote  = "layout"
	queueNotes  = "queue-"
	tagNotes    = "tags-"
	unfinished  = "-new" // the end of names of what isn't whole yet
)

func (d *directory) in(names ...string) string {
	return filepath.Join(append([]string{d.path}, names...)...)
}

// shown is the directory for people.
func (d *directory) shown() string {
	return filepath.Join(d.fs.shown, ourFolder, filepath.Base(d.path))
}

// Close ends the lock.
func (d *directory) Close() error {
	var err error
	if d.lock != nil {
		err = d.lock.Close()
	}
	return errors.Join(err, d.fs.Close())
}

// openDirectory finds the directory of this network namespace, makes it if the search may
// mount, and locks it.
func openDirectory(s search) (*directory, error) {
	d, err := lookForDirectory(s)
	if err != nil {
		return nil, err
	}
	if s.mount {
		if err := os.MkdirAll(d.in(linksFolder), 0o700); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	if d.lock, err = lockSoon(d.path); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// lookForDirectory names the directory of this network namespace, which may not be there.
func lookForDirectory(s search) (*directory, error) {
	name, err := namespaceName()
	if err != nil {
		return nil, err
	}
	fs, err := s.find()
	if errors.Is(err, errNoBPFFS) {
		return nil, fmt.Errorf("%w: %w", ErrNotThere, err)
	}
	if err != nil {
		return nil, permission(err)
	}
	return &directory{fs: fs, path: filepath.Join(fs.path, ourFolder, name)}, nil
}

// exitTime is how long a process that was killed may still have its lock.
const exitTime = time.Second

// lockSoon is lock, with patience for a process that is just ending.
func lockSoon(path string) (*os.File, error) {
	for deadline := time.Now().Add(exitTime); ; time.Sleep(exitTime / 50) {
		f, err := lock(path)
		if !errors.Is(err, ErrInUse) || time.Now().After(deadline) {
			return f, err
		}
	}
}

// lock locks a directory, as long as the file is open and the process lives.
func lock(path string) (*os.File, error) {
	for {
		f, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil, ErrNotThere
		}
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			if errors.Is(err, unix.EWOULDBLOCK) {
				err = ErrInUse
			}
			return nil, errors.Join(err, f.Close())
		}
		mine, err := f.Stat()
		there, err2 := os.Stat(path)
		if err == nil && err2 == nil && os.SameFile(mine, there) {
			return f, nil
		}
		_ = f.Close() // it was removed meanwhile
	}
}

// namespaceName is one that no other network namespace has or had since boot: by its cookie,
// which kernels since 5.14 tell, or else by its inode.
func namespaceName() (string, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", fmt.Errorf("opening a socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if cookie, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE); err == nil {
		return fmt.Sprintf("netns-%d", cookie), nil
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return "", fmt.Errorf("looking at the network namespace: %w", err)
	}
	return fmt.Sprintf("netns-inode-%d", st.Ino), nil
}

// folders lists the folders at path with a prefix.
func folders(path, prefix string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// permission says in one line what is missing where the kernel doesn't let us.
func permission(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w (needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, and CAP_SYS_ADMIN to mount a bpffs)", err)
	}
	return err
}
