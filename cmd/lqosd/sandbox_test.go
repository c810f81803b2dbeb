package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sandbox is what the unit of packaging takes from the daemon, as far as a process can take it from itself.
type sandbox struct {
	Program  string
	Args     []string
	UID, GID int
	Caps     []int    // bounding, permitted, effective, inheritable and ambient
	Writable []string // all else is read-only
	Hidden   []string // directories in whose place an empty one stands
	Arch     uint32   // AUDIT_ARCH_…; 0: there is no filter of system calls
	Calls    []uint32 // numbers of the system calls that are allowed
	Families []uint32 // of sockets
}

// sandboxEnv has a sandbox as JSON, for a process of this test binary that becomes the program.
const sandboxEnv = "LQOSD_TEST_SANDBOX"

func init() {
	text := os.Getenv(sandboxEnv)
	if text == "" {
		return
	}
	runtime.LockOSThread() // rights belong to the thread
	var s sandbox
	err := json.Unmarshal([]byte(text), &s)
	if err == nil {
		err = errors.Join(os.Unsetenv(sandboxEnv), s.enter())
	}
	if err == nil {
		err = syscall.Exec(s.Program, append([]string{s.Program}, s.Args...), os.Environ())
	}
	fmt.Fprintln(os.Stderr, "sandbox:", err)
	os.Exit(1)
}

// env is the variable that makes a process of this test binary the program in its sandbox.
func (s sandbox) env(t testing.TB) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return sandboxEnv + "=" + string(text)
}

// enter takes away what the unit takes away.
func (s sandbox) enter() error {
	filter := s.filter()
	if err := s.mounts(); err != nil {
		return err
	}
	unix.Umask(0o027)
	return errors.Join(s.ids(), restrict(filter))
}

// mounts: ProtectProc, ProtectSystem, ProtectKernelTunables, ProtectHome, ReadWritePaths, NoExecPaths and ExecPaths.
func (s sandbox) mounts() error {
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWIPC); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	errs := []error{
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, "hidepid=2"),
	}
	for _, dir := range s.Hidden {
		errs = append(errs, unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=000"))
	}
	set := func(path string, flags uint, attr *unix.MountAttr) {
		if err := unix.MountSetattr(unix.AT_FDCWD, path, flags, attr); err != nil {
			errs = append(errs, fmt.Errorf("mount_setattr %s: %w", path, err))
		}
	}
	set("/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOEXEC | unix.MOUNT_ATTR_NOSUID})
	for _, path := range s.Writable {
		errs = append(errs, unix.Mount(path, path, "", unix.MS_BIND, ""))
		set(path, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
	}
	errs = append(errs, unix.Mount(s.Program, s.Program, "", unix.MS_BIND, ""))
	set(s.Program, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_NOEXEC, Attr_set: unix.MOUNT_ATTR_RDONLY})
	return errors.Join(errs...)
}

// ids: User, Group, CapabilityBoundingSet and AmbientCapabilities. They are system calls of this thread alone.
func (s sandbox) ids() error {
	keep := [2]uint32{}
	for _, c := range s.Caps {
		keep[c/32] |= 1 << (c % 32)
	}
	for c := 0; ; c++ {
		if c < 64 && keep[c/32]>>(c%32)&1 == 1 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, uintptr(c), 0, 0, 0); errors.Is(err, unix.EINVAL) {
			break // it is the first that the kernel doesn't have
		} else if err != nil {
			return fmt.Errorf("dropping capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keeping capabilities: %w", err)
	}
	uid, gid := uintptr(s.UID), uintptr(s.GID)
	_, _, e1 := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0)
	_, _, e2 := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid)
	_, _, e3 := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid)
	if e1 != 0 || e2 != 0 || e3 != 0 {
		return fmt.Errorf("setting ids: %v, %v, %v", e1, e2, e3)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	for i := range data {
		data[i] = unix.CapUserData{Effective: keep[i], Permitted: keep[i], Inheritable: keep[i]}
	}
	if err := unix.Capset(&header, &data[0]); err != nil {
		return fmt.Errorf("setting capabilities: %w", err)
	}
	for _, c := range s.Caps {
		if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c), 0, 0); err != nil {
			return fmt.Errorf("raising ambient capability %d: %w", c, err)
		}
	}
	return nil
}

// restrict: NoNewPrivileges, and the filter.
func restrict(filter []unix.SockFilter) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no new privileges: %w", err)
	}
	if filter == nil {
		return nil
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	runtime.KeepAlive(filter)
	if err != nil {
		return fmt.Errorf("filtering system calls: %w", err)
	}
	return nil
}

// Where struct seccomp_data of linux/seccomp.h has the number, the architecture, and the low half of an argument.
const (
	dataNr, dataArch = 0, 4
	dataArg          = 16
)

// filter: SystemCallFilter, SystemCallArchitectures, RestrictAddressFamilies, RestrictNamespaces and
// MemoryDenyWriteExecute, as systemd makes them.
func (s sandbox) filter() []unix.SockFilter {
	if s.Arch == 0 {
		return nil
	}
	const allow, deny = unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	ret := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	jump := func(op uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	f := []unix.SockFilter{load(dataArch), jump(unix.BPF_JEQ, s.Arch, 1, 0), ret(unix.SECCOMP_RET_KILL_PROCESS), load(dataNr)}
	// call looks at an argument of one system call. What it lets through still has to be allowed.
	call := func(nr int, arg uint32, body ...unix.SockFilter) {
		body = append([]unix.SockFilter{load(dataArg + 8*arg)}, append(body, load(dataNr))...)
		f = append(f, jump(unix.BPF_JEQ, uint32(nr), 0, uint8(len(body))))
		f = append(f, body...)
	}
	families := make([]unix.SockFilter, 0, len(s.Families)+1)
	for i, family := range s.Families {
		families = append(families, jump(unix.BPF_JEQ, family, uint8(len(s.Families)-i), 0))
	}
	call(unix.SYS_SOCKET, 0, append(families, ret(unix.SECCOMP_RET_ERRNO|uint32(unix.EAFNOSUPPORT)))...)
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET
	call(unix.SYS_CLONE, 0, jump(unix.BPF_JSET, namespaces, 0, 1), ret(deny))
	call(unix.SYS_UNSHARE, 0, jump(unix.BPF_JSET, namespaces, 0, 1), ret(deny))
	call(unix.SYS_SETNS, 1, ret(deny))
	call(unix.SYS_CLONE3, 0, ret(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	const written = unix.PROT_WRITE
	call(unix.SYS_MMAP, 2, jump(unix.BPF_JSET, unix.PROT_EXEC, 0, 2), jump(unix.BPF_JSET, written, 0, 1), ret(deny))
	call(unix.SYS_MPROTECT, 2, jump(unix.BPF_JSET, unix.PROT_EXEC, 0, 1), ret(deny))
	for _, nr := range s.Calls {
		f = append(f, jump(unix.BPF_JEQ, nr, 0, 1), ret(allow))
	}
	return append(f, ret(deny))
}
