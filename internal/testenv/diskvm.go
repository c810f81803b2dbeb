package testenv

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	diskVMJobEnv   = "LQOSD_TEST_DISK_VM_JOB" // names the file with the job of the machine's program
	diskVMMemory   = 192                      // MiB
	diskVMSerial   = "/dev/ttyS0"
	diskVMDevice   = "/dev/ubda"
	diskVMPatience = 20 * time.Minute // for a machine that should take seconds, and may have a hundredth of a CPU
)

// DiskVM is a machine of user-mode Linux with an ext4 file system on a disk of its own, a file of the host. It is there to
// lose its power: what its kernel has written to the disk stays, and all else is lost.
//
// It runs one program, as its first process: this test binary, called by a name under which its TestMain runs that
// program and no test. That one calls [EnterDiskVM].
type DiskVM struct {
	Disk    *VMDisk
	Program string // the name under which the test binary is called
	Job     any    // for the program, as JSON
	// Hear gets each line that the program says, as soon as it is said. Cut cuts the power, at once or later. Not nil.
	Hear func(line string, cut func())
	// Take gets each line that the program writes to [DiskVMLine], as soon as it is written, beside Hear. It may be nil.
	Take func(line string)
	// Wrote is told of each write to the disk, or once of several. It may be called while Hear is, and be nil.
	Wrote func(cut func())
}

// Run boots the machine, and returns what its console says when the power was cut and no process of it is left. An error
// says that it ended otherwise.
func (vm DiskVM) Run(t testing.TB) (console string, err error) {
	t.Helper()
	return vm.run(t.Context())
}

func (vm DiskVM) run(ctx context.Context) (console string, err error) {
	binary, err := vmBinary()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "lqdiskvm")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program, job := filepath.Join(dir, vm.Program), filepath.Join(dir, "job")
	text, err := json.Marshal(diskVMJob{Dir: packageFolder, Job: vm.Job})
	if err == nil {
		err = errors.Join(os.Symlink(binary, program), os.WriteFile(job, text, 0o600))
	}
	if err != nil {
		return "", err
	}
	m := machine{memoryMiB: diskVMMemory, init: program, env: diskVMJobEnv + "=" + job, disk: vm.Disk.file}
	err = vm.power(ctx, &m)
	return m.console.String(), err
}

// errCut ends a machine as it should end.
var errCut = errors.New("the power was cut")

// power runs the machine until it is cut.
func (vm DiskVM) power(ctx context.Context, m *machine) error {
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	tooLong := time.AfterFunc(diskVMPatience, func() { cut(fmt.Errorf("nothing has cut the power in %v", diskVMPatience)) })
	defer tooLong.Stop()

	now := func() { cut(errCut) }
	ears := []func(string){func(line string) { vm.Hear(line, now) }, func(string) {}}
	if vm.Take != nil {
		ears[1] = vm.Take
	}
	stopHearing, err := m.hear(ears...)
	if err != nil {
		return err
	}
	stopWatching, err := vm.watchDisk(now)
	if err == nil {
		err = m.run(ctx)
		stopWatching()
	}
	err = errors.Join(err, stopHearing())
	if errors.Is(context.Cause(ctx), errCut) && errors.Is(err, errCut) {
		return nil
	}
	return errors.Join(err, errors.New("the machine ended before its power was cut"))
}

// hear connects the serial lines of the machine with ears. stop is called when the machine has ended, and waits until they have all.
func (m *machine) hear(ears ...func(line string)) (stop func() error, err error) {
	hearing := make(chan error, len(ears))
	stop = func() error {
		var all []error
		for _, serial := range m.serials {
			all = append(all, serial.Close()) // the last writer: that ends the hearing
		}
		for range m.serials {
			all = append(all, <-hearing)
		}
		return errors.Join(all...)
	}
	for _, ear := range ears {
		heard, serial, err := os.Pipe()
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		// What the machine can't get rid of would stay in it, and be lost with it.
		_, _ = unix.FcntlInt(serial.Fd(), unix.F_SETPIPE_SZ, 1<<20)
		m.serials = append(m.serials, serial)
		go func() { hearing <- errors.Join(eachLine(heard, ear), heard.Close()) }()
	}
	return stop, nil
}

// eachLine passes on whole lines.
func eachLine(from io.Reader, to func(string)) error {
	r := bufio.NewReader(from)
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		to(strings.TrimRight(line, "\r\n"))
	}
}

// watchDisk passes on that the disk was written to, until stop is called.
func (vm DiskVM) watchDisk(cut func()) (stop func(), err error) {
	if vm.Wrote == nil {
		return func() {}, nil
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	events := os.NewFile(uintptr(fd), "inotify") // non-blocking: the runtime waits for it
	if _, err := unix.InotifyAddWatch(fd, vm.Disk.file, unix.IN_MODIFY); err != nil {
		return nil, errors.Join(err, events.Close())
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for b := make([]byte, unix.SizeofInotifyEvent); ; { // one event at a time
			if _, err := events.Read(b); err != nil {
				return
			}
			vm.Wrote(cut)
		}
	}()
	return func() {
		_ = events.Close()
		<-ended
	}, nil
}

// diskVMJob is what the program in a machine gets.
type diskVMJob struct {
	Dir string // of the package
	Job any
}

// DiskVMDir is where the disk of a [DiskVM] is mounted, and DiskVMTemp a folder in memory; both are empty at first.
const (
	DiskVMDir  = guestRun + "/disk"
	DiskVMTemp = guestTemp
)

// EnterDiskVM makes the first process of a [DiskVM] at home: it mounts what is missing, the disk too, whose journal the kernel
// replays, goes to the folder of the package, and reads its job. say says a line to the host.
func EnterDiskVM(job any) (say func(format string, args ...any), err error) {
	serial, err := os.OpenFile(diskVMSerial, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	for _, m := range []struct{ kind, source, folder string }{
		{"proc", "proc", "/proc"},
		{"sysfs", "sysfs", "/sys"},
		{"tmpfs", "tmpfs", guestRun},
		{"tmpfs", "tmpfs", guestTemp},
		{"ext4", diskVMDevice, DiskVMDir},
	} {
		if err := os.MkdirAll(m.folder, 0o755); err != nil {
			return nil, err
		}
		if err := unix.Mount(m.source, m.folder, m.kind, 0, ""); err != nil {
			return nil, fmt.Errorf("mounting %s on %s: %w", m.kind, m.folder, err)
		}
	}
	text, err := os.ReadFile(os.Getenv(diskVMJobEnv))
	if err != nil {
		return nil, err
	}
	j := diskVMJob{Job: job}
	if err := json.Unmarshal(text, &j); err != nil {
		return nil, err
	}
	return func(format string, args ...any) {
		if _, err := fmt.Fprintf(serial, format+"\n", args...); err != nil {
			panic(err)
		}
	}, os.Chdir(j.Dir)
}

// DiskVMLine opens a second way out of a [DiskVM], for much: what goes there holds up nothing that is said.
func DiskVMLine() (io.WriteCloser, error) {
	node := filepath.Join(DiskVMTemp, "line")
	if err := unix.Mknod(node, unix.S_IFCHR|0o600, int(unix.Mkdev(4, 65))); err != nil { // /dev/ttyS1
		return nil, fmt.Errorf("making %s: %w", node, err)
	}
	return os.OpenFile(node, os.O_WRONLY|unix.O_NOCTTY, 0)
}

// VMDisk is the disk of a [DiskVM].
type VMDisk struct{ file string }

// NewVMDisk makes a disk with an empty ext4 file system of that many MiB, in memory where there is room; it goes with the test.
// Name E2fsprogs with Need before.
func NewVMDisk(t testing.TB, mebibytes int) *VMDisk {
	t.Helper()
	d, err := makeVMDisk(mebibytes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Dir(d.file)) })
	return d
}

func makeVMDisk(mebibytes int) (*VMDisk, error) {
	folder, err := folderForMemory(2 * mebibytes)
	if err == nil {
		folder, err = os.MkdirTemp(folder, "lqosd-test-")
	}
	if err != nil {
		return nil, err
	}
	d := &VMDisk{file: filepath.Join(folder, "disk")}
	err = os.WriteFile(d.file, nil, 0o600)
	if err == nil {
		err = os.Truncate(d.file, int64(mebibytes)<<20)
	}
	if err == nil {
		_, err = e2fsprogs("mkfs.ext4", "-q", "-F", d.file)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	return d, nil
}

// Recovered gives what folder of the disk's file system holds once the journal is replayed, in a folder of the host. The disk stays
// as it is: its own kernel has yet to do the same. The other folder is there if the first one is.
func (d *VMDisk) Recovered(t testing.TB, folder string) string {
	t.Helper()
	to, image := t.TempDir(), d.file+".copy"
	defer os.Remove(image)
	if err := run("cp", "--sparse=always", d.file, image); err != nil {
		t.Fatal(err)
	}
	out, err := e2fsprogs("e2fsck", "-p", "-E", "journal_only", image)
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 { // it has corrected something: that is what it is for
		err = nil
	}
	if err == nil {
		out, err = e2fsprogs("debugfs", "-R", fmt.Sprintf("rdump %s %s", folder, to), image)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return filepath.Join(to, filepath.Base(folder))
}

func e2fsprogs(name string, args ...string) (string, error) {
	program, err := systemProgram(name, "e2fsprogs")
	if err != nil {
		return "", err
	}
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return string(out), nil
}
