package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// defaultMemoryMiB is the memory of a machine that asks for none.
const defaultMemoryMiB = 1024

// machine is one user-mode Linux (Documentation/virt/uml of the kernel): a kernel that is a process of the host.
type machine struct {
	memoryMiB int
	first     bool       // before other work of the host
	init      string     // the first program in it
	env       string     // name=value for that program
	initArgs  []string   // of that program, without blanks and quotes, or in double quotes
	disk      string     // a file of the host that is /dev/ubda; may be empty
	serials   []*os.File // the nth gets what is written to /dev/ttyS<n>
	watch     func(written string)

	console strings.Builder // what kernel and init printed
}

// Write is that of io.Writer: the process that reads the console writes to the machine's record of it.
func (m *machine) Write(p []byte) (int, error) {
	if m.watch != nil {
		m.watch(string(p))
	}
	return m.console.Write(p)
}

// run boots the machine and returns when it has ended, or been killed at the end of ctx.
//
// The machine lives in a PID namespace, whose first process is a shell: with that one the host's kernel kills and reaps
// all processes of the machine, in whatever state they are. The shell itself goes with the thread that started it.
func (m *machine) run(ctx context.Context) error {
	memory := m.memoryMiB
	if memory == 0 {
		memory = defaultMemoryMiB
	}
	memoryFolder, err := folderForMemory(memory)
	if err != nil {
		return err
	}
	umlFolder, err := os.MkdirTemp("", "lquml") // a short path: a socket goes there
	if err != nil {
		return fmt.Errorf("making a folder for the machine: %w", err)
	}
	defer func() { _ = os.RemoveAll(umlFolder) }()

	args := []string{
		"-c", `ulimit -c 0; linux.uml "$@"; exit $?`, "sh",
		"rootfstype=hostfs", "ro", fmt.Sprintf("mem=%dM", memory), "uml_dir=" + umlFolder,
		"con=null", "con0=null,fd:1", "ssl=null", "quiet", "oops=panic", "init=" + m.init,
	}
	if m.env != "" {
		args = append(args, m.env)
	}
	if m.disk != "" {
		args = append(args, "ubda="+m.disk)
	}
	for i := range m.serials {
		args = append(args, fmt.Sprintf("ssl%d=null,fd:%d", i, 3+i)) // ExtraFiles begin with 3
	}
	if len(m.initArgs) > 0 {
		args = append(append(args, "--"), m.initArgs...)
	}
	cmd := exec.CommandContext(ctx, "/bin/sh", args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+memoryFolder)
	cmd.Stdout, cmd.Stderr = m, m
	cmd.ExtraFiles = m.serials
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = freshNamespaces(unix.CLONE_NEWPID)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	runtime.LockOSThread() // the death signal is sent when the thread ends, not the process
	defer runtime.UnlockOSThread()
	err = m.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return errors.Join(context.Cause(ctx), fmt.Errorf("running linux.uml in a PID namespace: %w", err))
	}
	return nil
}

// machines counts the machines of this process, from a number that differs among processes.
var machines = func() *atomic.Int64 {
	n := new(atomic.Int64)
	n.Store(int64(os.Getpid()))
	return n
}()

// start starts the machine's processes. They inherit how the host schedules this thread.
//
// A machine has one CPU, and its processes, the kernel and one for each process in it, take turns: together they get one of the
// host's. Where the host would give each one of its own, every system call in the machine waits for two to wake up: what measures
// traffic took two to three times as long, and stood still for seconds.
func (m *machine) start(cmd *exec.Cmd) error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("asking for the CPUs: %w", err)
	}
	if one := oneOf(allowed, machines.Add(1)); unix.SchedSetaffinity(0, &one) == nil {
		defer func() { _ = unix.SchedSetaffinity(0, &allowed) }()
	}
	if m.first {
		first := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
		if unix.SchedSetAttr(0, &first, 0) == nil { // not allowed: the machine waits like others
			defer func() { _ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr}, 0) }()
		}
	}
	return cmd.Start()
}

// oneOf is the set of one CPU, the nth of those in a set that isn't empty, round and round.
func oneOf(set unix.CPUSet, nth int64) unix.CPUSet {
	left := nth % int64(set.Count())
	for cpu := 0; ; cpu++ {
		if !set.IsSet(cpu) {
			continue
		}
		if left == 0 {
			var one unix.CPUSet
			one.Set(cpu)
			return one
		}
		left--
	}
}

// folderForMemory is a folder for the file that is a machine's memory: it has room for that much, and its file system
// lets programs be run from it, as linux.uml maps that file executable.
func folderForMemory(mib int) (string, error) {
	var refused []string
	for _, folder := range []string{"/dev/shm", os.TempDir(), "/var/tmp"} {
		var fs unix.Statfs_t
		if err := unix.Statfs(folder, &fs); err != nil {
			refused = append(refused, folder+": "+err.Error())
			continue
		}
		free := fs.Bavail * uint64(fs.Bsize) >> 20
		switch {
		case unix.Access(folder, unix.W_OK) != nil:
			refused = append(refused, folder+" can't be written")
		case fs.Flags&unix.ST_NOEXEC != 0:
			refused = append(refused, folder+" is mounted noexec")
		case free < uint64(mib):
			refused = append(refused, fmt.Sprintf("%s has %d MiB free", folder, free))
		default:
			return folder, nil
		}
	}
	return "", fmt.Errorf("no folder for the %d MiB of the machine's memory: %s", mib, strings.Join(refused, ", "))
}

// systemProgram is the whole path of a program that may be for root only, and then not in PATH; pkg is the Debian package that has it.
func systemProgram(name, pkg string) (string, error) {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if found, err := exec.LookPath(candidate); err == nil {
			return filepath.Abs(found)
		}
	}
	return "", fmt.Errorf("no %s in PATH or /usr/sbin (Debian package %s)", name, pkg)
}

// bootPatience is for a machine that should boot in a second, and may have a hundredth of a CPU.
const bootPatience = 10 * time.Minute

// probeVM boots a machine that loads the module sch_cake and says so.
func probeVM() error {
	if err := probeProgram("linux.uml", "user-mode-linux"); err != nil {
		return err
	}
	setpriv, err := systemProgram("setpriv", "util-linux")
	if err != nil {
		return err
	}
	modprobe, err := systemProgram("modprobe", "kmod")
	if err != nil {
		return err
	}
	const booted = "lqosd-vm-is-up"
	ctx, cancel := context.WithTimeout(context.Background(), bootPatience)
	defer cancel()
	// The shell is the first program, and ends without having halted the machine: the kernel panics, which is quickest.
	// --nnp is there for mount(8), as in runGuest.
	m := machine{init: setpriv, memoryMiB: 64, initArgs: []string{"--nnp", "/bin/sh", "-c", fmt.Sprintf(
		`"mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t tmpfs tmpfs /run && ln -s %s %s && %s -d %s sch_cake && echo %s"`,
		umlModules, guestModules, modprobe, guestRun, booted)}}
	err = m.run(ctx)
	for line := range strings.Lines(m.console.String()) {
		if strings.HasPrefix(line, booted) {
			return nil
		}
	}
	return fmt.Errorf("booting user-mode Linux: %w; its console: %s", err, complaint(m.console.String()))
}

// complaint is what a console says about why a machine did not do what it had to: one line, without what every boot
// prints and without stack traces.
func complaint(console string) string {
	var lines []string
	for line := range strings.Lines(console) {
		line = strings.TrimSpace(line)
		if line == "Stack:" {
			break
		}
		usual := slices.ContainsFunc(usualWords, func(w string) bool { return strings.HasPrefix(line, w) })
		if line != "" && !usual {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "; ")
}

// usualWords begin the lines that every boot prints.
var usualWords = []string{"SELinux: ", "mmapper_init - ", "Failed to initialize ubd device 0 ", "CPU: "}
