package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// attempt is something that a directive of the unit forbids, though user, group and capabilities don't.
type attempt struct {
	directive string
	do        func() error
	forbidden string // what comes of it under the unit; the answer in a unit without the sandbox is ""
}

// The traps of [layTraps].
const (
	openFolder   = "/srv/open"            // anybody may write there
	homeFile     = "/home/readable"       // anybody may read it
	sharedTemp   = "/var/tmp/of-somebody" // anybody may read it
	openDevice   = "/dev/of-everybody"    // the zeros of /dev/zero
	kernelDevice = stateOfUnit + "/kmsg"  // the kernel's log, which anybody may write
	stateOfUnit  = "/var/lib/lqosd"
)

// attempts are one for each directive that has something to forbid which the daemon's user could do otherwise.
var attempts = []attempt{
	{"RestrictAddressFamilies", func() error { return opened(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)) }, "EAFNOSUPPORT"},
	{"RestrictNamespaces", func() error { return runItself(unix.CLONE_NEWUSER) }, "EPERM"},
	{"RestrictRealtime", func() error { return schedule(unix.SCHED_FIFO) }, "EPERM"},
	{"RestrictSUIDSGID", makeSUID, "EPERM"},
	{"MemoryDenyWriteExecute", mapCode, "EPERM"},
	{"LockPersonality", func() error { return call(unix.SYS_PERSONALITY, 0x0040000) /* ADDR_NO_RANDOMIZE */ }, "EPERM"},
	{"SystemCallFilter", takeFile, "EPERM"},
	{"ProtectKernelLogs", func() error { _, err := unix.Klogctl(10 /* SYSLOG_ACTION_SIZE_BUFFER */, nil); return err }, "EPERM"},
	{"NoExecPaths", func() error { return exec.Command("/bin/true").Run() }, "EACCES"},
	{"ProtectSystem", func() error { return create(filepath.Join(openFolder, "file")) }, "EROFS"},
	{"ProtectHome", func() error { return read(homeFile) }, "EACCES"},
	{"PrivateTmp", func() error { return read(sharedTemp) }, "ENOENT"},
	{"PrivateDevices", func() error { return open(openDevice, unix.O_RDONLY) }, "ENOENT"},
	{"DevicePolicy", func() error { return open(kernelDevice, unix.O_WRONLY) }, "EPERM"},
	{"ProtectProc", func() error { return unix.Access("/proc/1", unix.F_OK) }, "ENOENT"},
	{"ProtectControlGroups", func() error { return writableMount("/sys/fs/cgroup") }, "EROFS"},
	{"ProtectKernelTunables", func() error { return writableMount("/proc/sys") }, "EROFS"},
	{"ProtectKernelModules", func() error { _, err := os.ReadDir("/usr/lib/modules"); return err }, "EACCES"},
	{"ProtectHostname", func() error { return sameNamespace("uts") }, "EXDEV"},
	{"PrivateMounts", func() error { return sameNamespace("mnt") }, "EXDEV"},
}

// attemptsEnv makes a process of this test binary make all attempts, and print what came of them as JSON. It has the namespaces
// of the machine, as JSON too.
const attemptsEnv = "LQOSD_TEST_ATTEMPTS"

func init() {
	switch os.Getenv(attemptsEnv) {
	case "":
		return
	case "nothing": // of runItself
		os.Exit(0)
	}
	runtime.LockOSThread() // some attempts change the thread
	outcomes := map[string]string{}
	for _, a := range attempts {
		outcomes[a.directive] = nameOf(a.do())
	}
	if err := json.NewEncoder(os.Stdout).Encode(outcomes); err != nil {
		panic(err)
	}
	os.Exit(0)
}

// nameOf is the name of an error number.
func nameOf(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return ""
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

func opened(fd int, err error) error {
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func open(path string, flags int) error { return opened(unix.Open(path, flags|unix.O_CLOEXEC, 0)) }

func create(path string) error { return opened(unix.Open(path, unix.O_CREAT|unix.O_WRONLY, 0o600)) }

func read(path string) error {
	_, err := os.ReadFile(path)
	return err
}

func call(number, argument uintptr) error {
	if _, _, errno := unix.RawSyscall(number, argument, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// takeFile takes a file of a process, this one, as a debugger may.
func takeFile() error {
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return err
	}
	return errors.Join(opened(unix.PidfdGetfd(self, 1, 0)), unix.Close(self))
}

// runItself runs this program in new namespaces.
func runItself(namespaces uintptr) error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{attemptsEnv + "=nothing"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	return cmd.Run()
}

func schedule(policy uint32) error {
	return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: 1}, 0)
}

func makeSUID() error {
	path := filepath.Join(stateOfUnit, "suid")
	if err := create(path); err != nil {
		return err
	}
	return unix.Chmod(path, unix.S_ISUID|0o700)
}

func mapCode() error {
	b, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	return unix.Munmap(b)
}

func writableMount(path string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return err
	}
	if fs.Flags&unix.ST_RDONLY != 0 {
		return unix.EROFS
	}
	return nil
}

// sameNamespace wants a namespace of this process to be the machine's.
func sameNamespace(kind string) error {
	own, err := os.Readlink("/proc/self/ns/" + kind)
	if err == nil && !strings.Contains(os.Getenv(attemptsEnv), own) {
		err = unix.EXDEV
	}
	return err
}

// layTraps makes what some attempts take.
func layTraps(t testing.TB) {
	t.Helper()
	err := os.MkdirAll(openFolder, 0o755)
	if err == nil {
		err = os.Chmod(openFolder, 0o777)
	}
	for _, path := range []string{homeFile, sharedTemp} {
		err = errors.Join(err, os.WriteFile(path, nil, 0o644))
	}
	for path, minor := range map[string]uint32{openDevice: 5, kernelDevice: 11} {
		err = errors.Join(err, unix.Mknod(path, unix.S_IFCHR, int(unix.Mkdev(1, minor))), os.Chmod(path, 0o666))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// machineNamespaces are those of the machine, for attemptsEnv.
func machineNamespaces(t testing.TB) string {
	t.Helper()
	var all []string
	for _, kind := range []string{"uts", "mnt"} {
		own, err := os.Readlink("/proc/1/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, own)
	}
	return strings.Join(all, ",")
}
