package xdp

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// usualBPFFS is where systemd and everybody else mounts a bpffs.
const usualBPFFS = "/sys/fs/bpf"

// ownBPFFS is where packaging/run-lqosd-bpf.mount mounts one for a daemon that isn't root.
const ownBPFFS = "/run/lqosd/bpf"

// bpffs is a mounted BPF file system. What is pinned there stays attached as long as it is
// mounted somewhere.
type bpffs struct {
	path  string   // leads there from any thread
	shown string   // for people
	fd    *os.File // of path, if it leads through a descriptor
	// brief says why the pins may not outlive this process, or its mount namespace; "" if
	// they do.
	brief string
}

func (b *bpffs) Close() error {
	if b.fd == nil {
		return nil
	}
	return b.fd.Close()
}

// errNoBPFFS is what a search that may not mount gives.
var errNoBPFFS = errors.New("no bpffs is mounted")

// search looks for a bpffs.
type search struct {
	explicit string // the one to take; "" leaves it to find
	mount    bool   // may mount one
}

// find finds a bpffs that outlives this process. One that is ours alone comes first. The usual one is not always that: `ip netns
// exec` gives a process a mount namespace with a fresh /sys, and what is mounted there
// goes with the process. Process 1 keeps what it has mounted.
func (s search) find() (*bpffs, error) {
	if s.explicit != "" {
		return s.at(s.explicit)
	}
	if here, err := (search{}).at(ownBPFFS); err == nil {
		here.brief = "" // the service manager keeps it, though a sandbox may hide that
		return here, nil
	}
	if here, err := (search{}).at(usualBPFFS); err == nil && here.brief == "" {
		return here, nil
	}
	there, denied := s.ofFirstProcess()
	if denied == nil || errors.Is(denied, errNoBPFFS) {
		return there, denied
	}
	here, err := s.at(usualBPFFS)
	if err == nil && here.brief != "" {
		here.brief += "; that of process 1 is out of reach: " + denied.Error()
	}
	return here, err
}

// at takes the bpffs at a path of this mount namespace.
func (s search) at(path string) (*bpffs, error) {
	if err := s.ensure(path); err != nil {
		return nil, err
	}
	b := &bpffs{path: path, shown: path}
	lasts, err := ofFirst(path)
	switch {
	case err != nil:
		b.brief = "what process 1 has mounted can't be read: " + err.Error()
	case !lasts:
		b.brief = "the bpffs at " + path + " is not mounted where process 1 sees it and goes with its mount namespace"
	}
	return b, nil
}

// ensure makes sure that a bpffs is at a path.
func (s search) ensure(path string) error {
	there, err := isBPFFS(path)
	if err != nil || there {
		return err
	}
	if !s.mount {
		return fmt.Errorf("%s: %w", path, errNoBPFFS)
	}
	below, err := lockWaiting(path) // two at once would mount two, and the second would hide the first
	if err != nil {
		return fmt.Errorf("locking %s to mount a bpffs on it: %w", path, err)
	}
	defer func() { _ = below.Close() }()
	if there, err := isBPFFS(path); err != nil || there {
		return err
	}
	if inside, err := os.ReadDir(path); err != nil || len(inside) > 0 {
		return errors.Join(fmt.Errorf("%s is no bpffs, and isn't empty: nothing is mounted over it", path), err)
	}
	if err := unix.Mount("bpf", path, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("mounting a bpffs on %s: %w", path, err)
	}
	return nil
}

func isBPFFS(path string) (bool, error) {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return false, fmt.Errorf("looking for a bpffs at %s: %w", path, err)
	}
	return uint32(fs.Type) == unix.BPF_FS_MAGIC, nil
}

// lockWaiting locks a folder until the file is closed.
func lockWaiting(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
	}
}

// ofFirstProcess takes the usual bpffs in the mount namespace of process 1, by a descriptor.
func (s search) ofFirstProcess() (*bpffs, error) {
	type answer struct {
		fd  int
		err error
	}
	answers := make(chan answer, 1) // the only one
	go onThread(func() {
		fd, err := s.enterFirst()
		answers <- answer{fd, err}
	})
	a := <-answers
	if a.err != nil {
		return nil, a.err
	}
	return &bpffs{
		path:  "/proc/self/fd/" + strconv.Itoa(a.fd),
		shown: usualBPFFS + " of process 1",
		fd:    os.NewFile(uintptr(a.fd), usualBPFFS),
	}, nil
}

// onThread runs f on a thread that ends afterwards, so that f may make it unlike the others. The first thread
// doesn't end, and /proc shows the process by it: f runs on any other.
func onThread(f func()) {
	runtime.LockOSThread() // for good
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		onThread(f)
	}()
	<-done
	runtime.UnlockOSThread()
}

// enterFirst moves this thread to the mount namespace of process 1 and opens the bpffs there.
func (s search) enterFirst() (int, error) {
	first, err := firstProcess()
	if err != nil {
		return -1, err
	}
	ns, err := unix.Open(filepath.Join(first, "ns/mnt"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening the mount namespace of process 1: %w", err)
	}
	defer func() { _ = unix.Close(ns) }()
	if err := unix.Unshare(unix.CLONE_FS); err != nil { // a thread that shares its root can't move
		return -1, fmt.Errorf("leaving the other threads: %w", err)
	}
	if err := unix.Setns(ns, unix.CLONE_NEWNS); err != nil {
		return -1, fmt.Errorf("entering the mount namespace of process 1: %w", err)
	}
	if err := s.ensure(usualBPFFS); err != nil {
		return -1, err
	}
	fd, err := unix.Open(usualBPFFS, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening the bpffs of process 1: %w", err)
	}
	return fd, nil
}

// ofFirst reports whether process 1 has the file system at path mounted, too: whether one of
// the lines of its mountinfo (proc_pid_mountinfo(5)) has its device.
func ofFirst(path string) (bool, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return false, err
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	f, err := os.Open("/proc/1/mountinfo") // which anybody may read
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 2 && fields[2] == device {
			return true, nil
		}
	}
	return false, lines.Err()
}

// firstProcess is the folder in /proc of process 1 or, where that is out of reach (a sandbox may give it rights that
// nobody else has), of kthreadd, the process 2 of a host: its mount namespace is the one that the machine booted
// with. No other process will do: it may have a mount namespace of its own, as we may.
func firstProcess() (string, error) {
	const first, second = "/proc/1", "/proc/2"
	_, err := os.Readlink(first + "/ns/mnt")
	if err == nil {
		return first, nil
	}
	name, err2 := os.ReadFile(second + "/comm")
	if err2 == nil && string(name) == "kthreadd\n" {
		_, err2 = os.Readlink(second + "/ns/mnt")
		if err2 == nil {
			return second, nil
		}
	}
	return "", err
}
