package testenv

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestInVM(t *testing.T) {
	InVM(t, func(t *testing.T) {
		t.Run("has a kernel of its own", hasKernelOfItsOwn)
		t.Run("cannot write to the host", cannotWriteToTheHost)
		t.Run("has cake, fq_codel and links with several queues", hasCakeAndQueues)
	})
}

func hasKernelOfItsOwn(t *testing.T) {
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	if len(links) != 1 || links[0].Name != "lo" || links[0].Flags&net.FlagUp == 0 {
		t.Errorf("links = %+v, want lo alone, and up", links)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	if _, err := os.Stat(filepath.Join(umlModules, "modules", release)); err != nil {
		t.Errorf("the kernel is %s, not that of user-mode Linux: %v", release, err)
	}
	if os.Getpid() == 1 || os.Geteuid() != 0 {
		t.Errorf("process %d of user %d, want one of root that isn't the first", os.Getpid(), os.Geteuid())
	}
}

func cannotWriteToTheHost(t *testing.T) {
	if _, err := os.Stat("doc.go"); err != nil {
		t.Errorf("not in the folder of the package: %v", err)
	}
	if err := os.WriteFile("written.tmp", nil, 0o600); !errors.Is(err, syscall.EROFS) {
		t.Errorf("writing to the folder of the package: %v, want %v", err, syscall.EROFS)
	}
	if dir := t.TempDir(); !strings.HasPrefix(dir, guestTemp+"/") {
		t.Errorf("temporary files go to %s, want below %s", dir, guestTemp)
	}
}

func hasCakeAndQueues(t *testing.T) {
	for _, tc := range []struct{ command, want string }{
		{"tc qdisc add dev lo root cake", ""},
		{"tc qdisc show dev lo", "qdisc cake 8001: root refcnt 2 bandwidth unlimited diffserv3"},
		{"ip link add lqa numtxqueues 4 numrxqueues 4 type veth peer name lqb", ""},
		{"tc qdisc add dev lqa root handle 7fff: mq", ""},
		{"tc qdisc add dev lqa parent 7fff:4 handle 4: htb default 2", ""},
		{"tc class add dev lqa parent 4: classid 4:1 htb rate 1gbit", ""},
		{"tc qdisc add dev lqa parent 4:1 fq_codel", ""},
		{"tc qdisc show dev lqa", "parent 4:1 limit 10240p flows 1024"},
	} {
		args := strings.Fields(tc.command)
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), tc.want) {
			t.Fatalf("%s: %v\n%s\nwant %q", tc.command, err, out, tc.want)
		}
	}
}

func TestInVMWith(t *testing.T) {
	t.Run(`a name (with) [signs], and "quotes"`, func(t *testing.T) {
		InVMWith(t, VMOptions{MemoryMiB: 300}, func(t *testing.T) {
			var info unix.Sysinfo_t
			if err := unix.Sysinfo(&info); err != nil {
				t.Fatal(err)
			}
			if mib := info.Totalram * uint64(info.Unit) >> 20; mib < 200 || mib > 300 {
				t.Errorf("the machine has %d MiB, want nearly 300", mib)
			}
			InNetns(t, func(t *testing.T) {
				first, err := os.Readlink("/proc/1/ns/net")
				if err != nil {
					t.Fatal(err)
				}
				if own, err := os.Readlink("/proc/self/ns/net"); err != nil || own == first {
					t.Errorf("in the network namespace %s of the machine, %v", own, err)
				}
			})
		})
	})
}

// vmBody is the name of the deed that [TestVMBody] does in a machine.
const vmBody = "LQOSD_TEST_VM_BODY"

// TestVMBody does nothing but in the machines of TestInVMFails.
func TestVMBody(t *testing.T) {
	if os.Getenv(insideVM) == "" {
		return
	}
	switch os.Getenv(vmBody) {
	case "fails":
		t.Error("the body's complaint")
	case "panics":
		panic("the body's panic")
	case "hangs":
		t.Log("the body hangs")
		if err := os.WriteFile("/dev/console", []byte("the body hangs\n"), 0); err != nil {
			t.Fatal(err)
		}
		_ = unix.Pause()
	case "crashes the kernel":
		t.Logf("the kernel goes on: %v", os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0))
	case "halts the machine":
		t.Logf("the machine goes on: %v", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF))
	}
}

func TestInVMFails(t *testing.T) {
	for _, tc := range []struct {
		body string
		args []string
		want []string // parts of the verdict
	}{
		{"fails", nil, []string{"exit status 1", "the body's complaint", "--- FAIL: TestVMBody "}},
		{"panics", nil, []string{"exit status 2", "panic: the body's panic", "goroutine "}},
		{"hangs", []string{"-test.timeout=2s"}, []string{"exit status 2", "panic: test timed out after 2s", "TestVMBody"}},
		{"crashes the kernel", nil, []string{"exit status 134", "Kernel panic - not syncing: sysrq triggered crash", "=== RUN   TestVMBody"}},
		{"halts the machine", nil, []string{"the machine ended without a verdict", "=== RUN   TestVMBody"}},
	} {
		t.Run(tc.body, func(t *testing.T) {
			Need(t, VM)
			t.Setenv(vmBody, tc.body)
			args := append(childArgs(os.Args[1:], "TestVMBody"), tc.args...)
			out, err := runInVM(t.Context(), vmRun{args: args})
			wantFatal(t, out, err, tc.want)
		})
	}
}

// TestInVMEndsWithItsContext has a machine killed while the test in it hangs.
func TestInVMEndsWithItsContext(t *testing.T) {
	Need(t, VM)
	t.Setenv(vmBody, "hangs")
	ctx, cancel := context.WithCancelCause(t.Context())
	var printed strings.Builder
	out, err := runInVM(ctx, vmRun{
		args: append(childArgs(os.Args[1:], "TestVMBody"), "-test.timeout=0"),
		console: func(written string) {
			printed.WriteString(written)
			if strings.Contains(printed.String(), "the body hangs") {
				cancel(errors.New("time is up"))
			}
		},
	})
	wantFatal(t, out, err, []string{"time is up", "signal: killed", "console of the machine:", "=== RUN   TestVMBody"})
}

func wantFatal(t *testing.T, out string, err error, parts []string) {
	t.Helper()
	r := &recorder{name: "TestVMBody"}
	verdict := r.run(func(tb testing.TB) { report(tb, inVMOfItsOwn, out, err) })
	for _, part := range append(parts, "fatal: "+inVMOfItsOwn) {
		if !strings.Contains(verdict, part) {
			t.Errorf("verdict:\n%s\nwant %q in it", verdict, part)
		}
	}
}

func TestFolderForMemory(t *testing.T) {
	if folder, err := folderForMemory(1); err != nil {
		t.Error(err)
	} else {
		t.Logf("1 MiB of memory: %s", folder)
	}
	if _, err := folderForMemory(1 << 40); err == nil || !strings.Contains(err.Error(), "/dev/shm") {
		t.Errorf("an exbibyte of memory: %v", err)
	}
}

func TestComplaint(t *testing.T) {
	const console = `SELinux: https://github.com/SELinuxProject/selinux-kernel/wiki/DEPRECATE-checkreqprot
mmapper_init - find_iomem failed
Failed to initialize ubd device 0 :Couldn't determine size of device's file
modprobe: FATAL: Module sch_cake not found in directory /run/lib/modules/6.1.176
Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100
CPU: 0 PID: 1 Comm: sh Not tainted 6.1.176 #1
Stack:
 606944ba 607e7fcd 6682fc60 6067bb96
`
	const want = "modprobe: FATAL: Module sch_cake not found in directory /run/lib/modules/6.1.176; " +
		"Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100"
	if got := complaint(console); got != want {
		t.Errorf("complaint:\n got %q\nwant %q", got, want)
	}
}
