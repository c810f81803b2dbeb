package host

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// Host is a machine, seen through its file system.
type Host struct {
	root  fs.FS
	links AskLink // nil: only the files tell
}

// AskLink asks the kernel for a link by its name: its index, and the rx and tx queues that it was made with.
type AskLink func(name string) (index, rx, tx int, err error)

// Asking is h with a way to ask for links. /sys shows the links of the network namespace in which it was mounted, which
// need not be that of this process; then the answers count.
func (h Host) Asking(links AskLink) Host {
	h.links = links
	return h
}

// This is the machine that the process runs on.
func This() Host { return At(os.DirFS("/")) }

// At is a machine described by a file system: proc, sys, etc and lib are at its top.
func At(root fs.FS) Host { return Host{root: root} }

// BootID names the current boot, as a UUID (random(4), /proc/sys/kernel/random/boot_id). It differs after each reboot.
func (h Host) BootID() (string, error) { return h.line("proc/sys/kernel/random/boot_id") }

// KernelVersion is the release of the running kernel, for example "6.1.0-18-amd64" (uname(2)).
func (h Host) KernelVersion() (string, error) { return h.line("proc/sys/kernel/osrelease") }

// CPUs is the number of CPUs that are online: the lines "cpuN" of /proc/stat (proc_stat(5)).
func (h Host) CPUs() (int, error) {
	n := 0
	err := h.lines("proc/stat", func(line string) bool {
		word, _, _ := strings.Cut(line, " ")
		digits, isCPU := strings.CutPrefix(word, "cpu")
		if _, err := strconv.ParseUint(digits, 10, 32); isCPU && err == nil {
			n++
		}
		return true
	})
	if err == nil && n == 0 {
		err = fmt.Errorf("reading /proc/stat: no line of a CPU")
	}
	return n, err
}

// Distribution is the PRETTY_NAME of os-release(5), for example "Debian GNU/Linux 12 (bookworm)", or "Linux" where the
// file doesn't say.
func (h Host) Distribution() string {
	name := "Linux"
	for _, path := range []string{"etc/os-release", "usr/lib/os-release"} {
		found := false
		err := h.lines(path, func(line string) bool {
			value, ok := strings.CutPrefix(line, "PRETTY_NAME=")
			if ok {
				name, found = strings.Trim(value, `"'`), true
			}
			return !found
		})
		if err == nil && found {
			break
		}
	}
	return name
}

// line reads a file of one line.
func (h Host) line(path string) (string, error) {
	text, err := fs.ReadFile(h.root, path)
	if err != nil {
		return "", fmt.Errorf("reading a fact about this host: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// lines hands the lines of a file to visit until it returns false.
func (h Host) lines(path string, visit func(line string) bool) error {
	return h.rawLines(path, func(line []byte) bool { return visit(string(line)) })
}

// rawLines is lines without a copy of each: a line is gone with the next.
func (h Host) rawLines(path string, visit func(line []byte) bool) error {
	f, err := h.root.Open(path)
	if err != nil {
		return fmt.Errorf("reading a fact about this host: %w", err)
	}
	defer func() { _ = f.Close() }()
	scanner := bufio.NewScanner(f)
	for scanner.Scan() && visit(scanner.Bytes()) {
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("reading a fact about this host: %s: %w", path, err)
	}
	return nil
}
