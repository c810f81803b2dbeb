package testenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// sharedFolderEnv tells the first process of a machine which folder of the host it may write to.
	sharedFolderEnv = "LQOSD_TEST_VM_SHARED"

	umlModules   = "/usr/lib/uml"       // modules/VERSION in it holds the modules, as Debian's user-mode-linux installs them
	guestRun     = "/run"               // memory
	guestModules = guestRun + "/lib"    // leads to umlModules, for modprobe -d guestRun
	guestTemp    = guestRun + "/tmp"    // TMPDIR
	guestShared  = guestRun + "/shared" // the shared folder

	kernelModprobe = "/proc/sys/kernel/modprobe" // names the program that the kernel asks for modules
)

// guestJob is what the first process of a machine has to run.
type guestJob struct {
	Binary   string
	Args     []string
	Dir      string
	Env      []string
	Modprobe string // the path of modprobe(8)
	Local    string // if not empty, systemd is the machine's first program, and this folder of the host its /usr/local
}

// sharedFolder is the one folder of the host that a machine can write to: the job goes in, and output and exit code come
// out. What is written there is on the host when the call returns (hostfs_write_end of the kernel), so that it outlives a
// machine that is killed.
type sharedFolder string

func (f sharedFolder) job() string    { return filepath.Join(string(f), "job") }
func (f sharedFolder) output() string { return filepath.Join(string(f), "output") }
func (f sharedFolder) exit() string   { return filepath.Join(string(f), "exit") }
func (f sharedFolder) remove()        { _ = os.RemoveAll(string(f)) }

// newSharedFolder makes the folder for a job.
func newSharedFolder(job guestJob) (sharedFolder, error) {
	var err error
	if job.Modprobe, err = systemProgram("modprobe", "kmod"); err != nil {
		return "", err
	}
	text, err := json.Marshal(job)
	if err != nil {
		return "", fmt.Errorf("writing the job of the machine: %w", err)
	}
	dir, err := os.MkdirTemp("", "lqshared")
	if err != nil {
		return "", fmt.Errorf("making the folder shared with the machine: %w", err)
	}
	f := sharedFolder(dir)
	if err := os.WriteFile(f.job(), text, 0o600); err != nil {
		f.remove()
		return "", fmt.Errorf("writing the job of the machine: %w", err)
	}
	return f, nil
}

// result is what the job printed, and an error unless it ended with exit code 0. ended is how the machine ended.
func (f sharedFolder) result(ended error) (string, error) {
	out, err := os.ReadFile(f.output())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("reading the output of the machine: %w", err)
	}
	code, err := os.ReadFile(f.exit())
	switch {
	case ended != nil:
		return string(out), ended
	case err != nil:
		return string(out), fmt.Errorf("the machine ended without a verdict: %w", err)
	case string(code) != "0":
		return string(out), fmt.Errorf("exit status %s", code)
	}
	return string(out), nil
}

// init takes over in the first process of a machine, before any test runs in it.
func init() {
	shared := os.Getenv(sharedFolderEnv)
	var run func() error
	switch {
	case os.Getenv(guestServiceEnv) != "":
		run = runService
	case shared != "" && os.Getpid() == 1:
		run = func() error { return runGuest(shared) }
	default:
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv: in the machine:", err)
	}
	unix.Sync()
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Fprintln(os.Stderr, "testenv: halting the machine:", err)
	os.Exit(1)
}

// runGuest prepares the machine, runs the job of the shared folder and leaves output and exit code there.
func runGuest(folderOfHost string) error {
	if err := mountGuest(folderOfHost); err != nil {
		return err
	}
	job, err := readJob()
	if err != nil {
		return err
	}
	if job.Local != "" {
		return becomeSystemd(job, folderOfHost)
	}
	if err := loadModulesOnDemand(job.Modprobe); err != nil {
		return err
	}
	if err := setLoUp(); err != nil {
		return err
	}
	// 4096 files are the limit otherwise; service managers give as many as here.
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 524288, Max: 524288}); err != nil {
		return fmt.Errorf("raising the limit of open files: %w", err)
	}
	// Where the host's user is not root, files of root look like another user's in the machine, and programs with the
	// set-user-ID bit, as mount(8), would run as that user.
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("ignoring set-user-ID bits: %w", err)
	}
	return job.do()
}

// runService is runGuest in the process that systemd starts.
func runService() error {
	job, err := readJob()
	if err == nil {
		err = setLoUp()
	}
	if err != nil {
		return err
	}
	return job.do()
}

func readJob() (guestJob, error) {
	var job guestJob
	text, err := os.ReadFile(sharedFolder(guestShared).job())
	if err == nil {
		err = json.Unmarshal(text, &job)
	}
	if err != nil {
		return job, fmt.Errorf("reading the job: %w", err)
	}
	return job, nil
}

// do runs the job and leaves output and exit code in the shared folder.
func (j guestJob) do() error {
	shared := sharedFolder(guestShared)
	code, err := j.run(shared.output())
	if err != nil {
		return err
	}
	if err := os.WriteFile(shared.exit(), []byte(strconv.Itoa(code)), 0o644); err != nil {
		return fmt.Errorf("writing the exit code: %w", err)
	}
	return nil
}

// guestMount is a file system of a machine.
type guestMount struct{ kind, folder, options string }

// mount mounts it below a root.
func (m guestMount) mount(root string) error {
	folder := root + m.folder
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", folder, err)
	}
	if err := unix.Mount(m.kind, folder, m.kind, 0, m.options); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", m.kind, folder, err)
	}
	return nil
}

// mountGuest makes what is not the host's: /proc, /sys, /run, and the shared folder in it.
func mountGuest(folderOfHost string) error {
	for _, m := range []guestMount{
		{"proc", "/proc", ""},
		{"sysfs", "/sys", ""},
		{"bpf", "/sys/fs/bpf", ""},
		{"devpts", "/dev/pts", ""},
		{"tmpfs", "/dev/shm", ""},
		{"tmpfs", guestRun, ""},
		{"tmpfs", guestTemp, ""},
		{"hostfs", guestShared, folderOfHost},
	} {
		if err := m.mount(""); err != nil {
			return err
		}
	}
	return nil
}

// loadModulesOnDemand makes the kernel find its modules where Debian has them; it looks in /lib/modules otherwise, which
// can't be changed, and holds those of the host.
func loadModulesOnDemand(modprobe string) error {
	if err := os.Symlink(umlModules, guestModules); err != nil {
		return fmt.Errorf("leading modprobe to the modules: %w", err)
	}
	script := guestRun + "/modprobe"
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec "+modprobe+" -d "+guestRun+" \"$@\"\n"), 0o755); err != nil {
		return fmt.Errorf("writing the kernel's modprobe: %w", err)
	}
	if err := os.WriteFile(kernelModprobe, []byte(script), 0o644); err != nil {
		return fmt.Errorf("naming the kernel's modprobe: %w", err)
	}
	return nil
}

// run runs the job and waits for it, and meanwhile for orphans, as the first process has to.
func (j guestJob) run(output string) (code int, err error) {
	out, err := os.OpenFile(output, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return 0, fmt.Errorf("opening the output: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	cmd := exec.Command(j.Binary, j.Args...)
	cmd.Dir, cmd.Env = j.Dir, append(j.Env, "PWD="+j.Dir)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("starting the test: %w", err)
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0, fmt.Errorf("waiting for the test: %w", err)
		case pid == cmd.Process.Pid && status.Signaled():
			return 128 + int(status.Signal()), nil
		case pid == cmd.Process.Pid:
			return status.ExitStatus(), nil
		}
	}
}
