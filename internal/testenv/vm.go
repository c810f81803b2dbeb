package testenv

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// insideVM is set in the environment of the test that [InVM] runs in a virtual machine.
const insideVM = "LQOSD_TEST_INSIDE_VM"

// VMOptions says how the machine of [InVMWith] is made. The zero value is the machine of [InVM].
type VMOptions struct {
	// MemoryMiB is the memory of the machine; 0 means 1024. What it doesn't touch costs nothing.
	// A cake qdisc takes 1.04 MiB: 2032 of them, 3072.
	MemoryMiB int
	// First gives the machine the host's processors before other work, where the host allows it: for what measures time.
	First bool
	// Systemd makes the host's systemd the first program of the machine, and the test a service of it. It gives the folder of
	// the host that is /usr/local there, and is called on the host alone. The machine's file system is the host's, and can be
	// written; that stays in its memory. Of units, users, folders and modules it has what /usr/local has, and few of Debian's.
	// It takes [Root] and [Systemd].
	Systemd func() string
}

// InVM runs body in a virtual machine, user-mode Linux, whose kernel has cake, fq_codel and the other modules of Debian's
// package user-mode-linux; they are loaded when something asks for them. Only lo exists there, and it is up; the test is root.
//
// The machine sees the file system of the host, read-only, and starts in the folder of the package. What can be written is
// t.TempDir and all else in /run, which is memory. It has one CPU, no BTF and no TCX, and is slow: boot takes 2 seconds, and
// so does the first touch of 64 MiB. A process with some hundred MiB of small objects may die of the host's
// vm.max_map_count: a page that isn't beside its neighbour takes one. The console says so then.
//
// The machine runs this test binary, told to run t and nothing else; what t does before InVM runs in both places, so call
// InVM first. The race detector can't run there: a binary with it is built again without it. t is skipped where [VM] is missing.
func InVM(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	InVMWith(t, VMOptions{}, body)
}

// InVMWith is [InVM] with a machine that isn't the usual one.
func InVMWith(t *testing.T, options VMOptions, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(insideVM) != "" {
		body(t)
		return
	}
	Need(t, VM)

	ctx, args := t.Context(), childArgs(os.Args[1:], t.Name())
	if deadline, ok := t.Deadline(); ok { // the machine's own limit comes first, so that the test's goroutines are reported
		left := time.Until(deadline)
		args = append(args, "-test.timeout="+max(time.Second, left*9/10).String())
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, left*19/20)
		defer cancel()
	}
	run := vmRun{options: options, args: args}
	if options.Systemd != nil {
		Need(t, Root, Systemd)
		run.local = options.Systemd()
	}
	out, err := runInVM(ctx, run)
	report(t, inVMOfItsOwn, out, err)
}

const inVMOfItsOwn = "in a virtual machine of its own"

// vmRun is one run of this package's tests in a machine.
type vmRun struct {
	options VMOptions
	args    []string             // of the test binary
	local   string               // of guestJob
	console func(written string) // is told what the kernel prints; may be nil
}

// runInVM boots a machine, and returns what the test binary printed in it. The error says why that is no success, with
// the text of the machine's console.
func runInVM(ctx context.Context, run vmRun) (string, error) {
	binary, err := vmBinary()
	if err != nil {
		return "", err
	}
	shared, err := newSharedFolder(guestJob{Binary: binary, Args: run.args, Dir: packageFolder, Env: guestEnv(os.Environ()), Local: run.local})
	if err != nil {
		return "", err
	}
	defer shared.remove()

	m := machine{memoryMiB: run.options.MemoryMiB, first: run.options.First, init: binary, env: sharedFolderEnv + "=" + string(shared), watch: run.console}
	bootErr := m.run(ctx)
	out, err := shared.result(bootErr)
	if err != nil {
		return out, &vmError{cause: err, console: m.console.String()}
	}
	return out, nil
}

// vmError has the last words of a machine.
type vmError struct {
	cause   error
	console string
}

func (e *vmError) Error() string {
	return e.cause.Error() + "\nconsole of the machine:\n" + e.console + "output of the test:"
}

func (e *vmError) Unwrap() error { return e.cause }

// guestEnv is the environment of a test in a machine: that of the host, but for what differs there.
func guestEnv(host []string) []string {
	var env []string
	for _, e := range host {
		if path, ok := strings.CutPrefix(e, "PATH="); ok {
			e = "PATH=" + path + ":/usr/sbin:/sbin"
		}
		env = append(env, e)
	}
	return append(env, insideVM+"=1", "TMPDIR="+guestTemp)
}
