package bus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ListenOptions say who may open the socket.
type ListenOptions struct {
	// Group owns the socket, by name. If there is no such group, or this process may not give files to it, the socket keeps
	// the group of the process: it is never open to more than was asked for.
	Group string
	Mode  fs.FileMode // permission bits of the socket; default 0660
}

const (
	defaultSocketMode = 0o660
	socketDirMode     = 0o755

	maxSocketPath = 107 // bytes: sun_path of unix(7), less its terminating zero
	probeTimeout  = time.Second
)

// Listen makes the socket at path and listens on it. Missing directories are made with mode 0755. A socket on which nobody
// listens any more is replaced; one on which somebody does is an error, as is anything that is not a socket, symbolic
// links included. The socket is made beside path, under path.PID.N, and moved there when it is ready: it appears with its
// permissions set and somebody listening. Closing the listener removes the file, unless another has taken its place. The
// path has at most 107 bytes, unix(7).
func Listen(path string, o ListenOptions) (net.Listener, error) {
	if o.Mode == 0 {
		o.Mode = defaultSocketMode
	}
	l, err := listen(path, o)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	return l, nil
}

// sockets counts the sockets that this process has made, for names that differ.
var sockets atomic.Int64

func listen(path string, o ListenOptions) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), socketDirMode); err != nil {
		return nil, err
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the path is too long: %d bytes, at most %d", len(path), maxSocketPath)
	}
	if err := checkVacant(path); err != nil {
		return nil, err
	}
	draft, release, err := draftPath(path, sockets.Add(1))
	if err != nil {
		return nil, err
	}
	defer release()
	l, err := bind(draft)
	if err != nil {
		return nil, err
	}
	own, err := open(draft, o)
	if err == nil {
		err = install(draft, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), ignoreMissing(os.Remove(draft)))
	}
	return &listener{UnixListener: l, path: path, own: own}, nil
}

// draftPath is where the n-th socket of this process is made: beside path. Where that is too long a name, the directory
// goes by a descriptor, until release.
func draftPath(path string, n int64) (draft string, release func(), err error) {
	draft = fmt.Sprintf("%s.%d.%d", path, os.Getpid(), n)
	if len(draft) <= maxSocketPath {
		return draft, func() {}, nil
	}
	fd, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("opening the directory: %w", err)
	}
	return fmt.Sprintf("/proc/self/fd/%d/.bus.%d.%d", fd, os.Getpid(), n), func() { unix.Close(fd) }, nil
}

// bind makes the socket, listening, open to nobody but its owner. The mode given to the descriptor before bind(2) is that
// of the file; the umask can only take away from it.
func bind(draft string) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, conn syscall.RawConn) error {
		var chmod error
		err := conn.Control(func(fd uintptr) { chmod = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmod)
	}}
	l, err := config.Listen(context.Background(), "unix", draft)
	if errors.Is(err, unix.EADDRINUSE) && checkVacant(draft) == nil {
		// Left behind by a process that had our pid and was killed between bind and rename.
		if err := os.Remove(draft); err != nil {
			return nil, fmt.Errorf("removing a dead draft: %w", err)
		}
		l, err = config.Listen(context.Background(), "unix", draft)
	}
	if err != nil {
		return nil, err
	}
	unixListener := l.(*net.UnixListener)
	unixListener.SetUnlinkOnClose(false)
	return unixListener, nil
}

// identity tells one file from another that later has the same name.
type identity struct{ dev, ino uint64 }

func identify(path string) (identity, fs.FileMode, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return identity{}, 0, err
	}
	st := info.Sys().(*syscall.Stat_t)
	return identity{dev: st.Dev, ino: st.Ino}, info.Mode(), nil
}

// open gives the socket its group and mode, through a descriptor of the file itself, so that a link put in its place
// can't lead anywhere else.
func open(draft string, o ListenOptions) (identity, error) {
	fd, err := unix.Open(draft, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return identity{}, fmt.Errorf("opening the new socket: %w", err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return identity{}, fmt.Errorf("looking at the new socket: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return identity{}, errors.New("somebody replaced the new socket")
	}
	if gid, ok := groupID(o.Group); ok {
		err := unix.Fchownat(fd, "", -1, gid, unix.AT_EMPTY_PATH)
		if err != nil && !errors.Is(err, unix.EPERM) {
			return identity{}, fmt.Errorf("giving the socket to group %s: %w", o.Group, err)
		}
	}
	// fchmod(2) refuses such descriptors; their name in /proc is the way to it, symlink(7).
	if err := os.Chmod("/proc/self/fd/"+strconv.Itoa(fd), o.Mode.Perm()); err != nil {
		return identity{}, fmt.Errorf("setting the mode of the socket: %w", err)
	}
	return identity{dev: st.Dev, ino: st.Ino}, nil
}

func groupID(name string) (int, bool) {
	if name == "" {
		return 0, false
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	gid, err := strconv.Atoi(g.Gid)
	return gid, err == nil
}

// install moves the socket to its place. A dead socket there is exchanged for it in one step; if it turns out that another
// process was quicker and what came out is alive, it is put back.
func install(draft, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, draft, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if err == nil || !errors.Is(err, unix.EEXIST) {
		return err
	}
	if err := checkVacant(path); err != nil {
		return err
	}
	if err := unix.Renameat2(unix.AT_FDCWD, draft, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE); err != nil {
		return fmt.Errorf("replacing a dead socket: %w", err)
	}
	if err := checkVacant(draft); err != nil {
		back := unix.Renameat2(unix.AT_FDCWD, draft, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE)
		return errors.Join(err, back)
	}
	return ignoreMissing(os.Remove(draft))
}

// checkVacant refuses everything but nothing at all and a socket on which nobody listens.
func checkVacant(path string) error {
	_, mode, err := identify(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case mode.Type() != fs.ModeSocket:
		return fmt.Errorf("there is something that is not a socket (%s)", mode)
	}
	var busy net.Error
	conn, err := net.DialTimeout("unix", path, probeTimeout)
	switch {
	case err == nil:
		defer conn.Close()
		return fmt.Errorf("another process is listening there%s", listenerOf(conn))
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.As(err, &busy) && busy.Timeout(): // EAGAIN, when its backlog is full, is one
		return errors.New("another process is listening there, too busy to answer")
	}
	return fmt.Errorf("asking whether anybody listens there: %w", err)
}

// listenerOf names who listens at the other end, as far as it can be told: ": pid 7 (lqosd)". It is who began to listen: for a
// socket that a service manager passed on, that is the service manager.
func listenerOf(conn net.Conn) string {
	peer, err := peerOf(conn)
	if err != nil || peer.PID == 0 { // it is in another PID namespace
		return ""
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", peer.PID))
	if err != nil {
		return fmt.Sprintf(": pid %d", peer.PID)
	}
	return fmt.Sprintf(": pid %d (%s)", peer.PID, strings.TrimSpace(string(name)))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// listener removes its file when it is closed.
type listener struct {
	*net.UnixListener
	path  string
	own   identity
	close sync.Once
}

// Addr is the path that was asked for.
func (l *listener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close stops listening and removes the file, if it is still ours.
func (l *listener) Close() (err error) {
	err = net.ErrClosed
	l.close.Do(func() {
		if now, _, e := identify(l.path); e == nil && now == l.own {
			err = ignoreMissing(os.Remove(l.path))
		} else {
			err = nil
		}
		err = errors.Join(err, l.UnixListener.Close())
	})
	return err
}
