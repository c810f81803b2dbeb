package host

import (
	"errors"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
)

// files describes a host: paths without the leading slash, and their text.
func files(m map[string]string) Host {
	root := fstest.MapFS{}
	for name, text := range m {
		root[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return At(root)
}

func TestFacts(t *testing.T) {
	h := files(map[string]string{
		"proc/sys/kernel/random/boot_id": "6f1d9c5e-0000-4000-8000-000000000001\n",
		"proc/sys/kernel/osrelease":      "6.1.0-18-amd64\n",
		"proc/stat":                      "cpu  1 2 3\ncpu0 1 2 3\ncpu1 1 2 3\ncpu17 1 2 3\nintr 9\ncpufreq 1\n",
	})
	if got, err := h.BootID(); err != nil || got != "6f1d9c5e-0000-4000-8000-000000000001" {
		t.Errorf("BootID() = %q, %v", got, err)
	}
	if got, err := h.KernelVersion(); err != nil || got != "6.1.0-18-amd64" {
		t.Errorf("KernelVersion() = %q, %v", got, err)
	}
	if got, err := h.CPUs(); err != nil || got != 3 {
		t.Errorf("CPUs() = %d, %v; want 3", got, err)
	}
}

func TestFactsThatAreNotThere(t *testing.T) {
	h := files(nil)
	if _, err := h.BootID(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("BootID: %v", err)
	}
	if _, err := h.KernelVersion(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("KernelVersion: %v", err)
	}
	if _, err := h.CPUs(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("CPUs: %v", err)
	}
	if n, err := files(map[string]string{"proc/stat": "cpu 1\n"}).CPUs(); err == nil {
		t.Errorf("CPUs() = %d of a file without a CPU, want an error", n)
	}
}

func TestDistribution(t *testing.T) {
	for _, tc := range []struct {
		name string
		host map[string]string
		want string
	}{
		{"quoted", map[string]string{"etc/os-release": "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n"}, "Debian GNU/Linux 12 (bookworm)"},
		{"plain", map[string]string{"etc/os-release": "PRETTY_NAME=Alpine\n"}, "Alpine"},
		{"etc goes first", map[string]string{"etc/os-release": "PRETTY_NAME=a\n", "usr/lib/os-release": "PRETTY_NAME=b\n"}, "a"},
		{"only usr/lib", map[string]string{"usr/lib/os-release": "PRETTY_NAME=b\n"}, "b"},
		{"nowhere", nil, "Linux"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := files(tc.host).Distribution(); got != tc.want {
				t.Errorf("Distribution() = %q, want %q", got, tc.want)
			}
		})
	}
}

// TestThisHost compares the facts with what the Go runtime and the kernel say in other ways.
func TestThisHost(t *testing.T) {
	h := This()
	if n, err := h.CPUs(); err != nil || n < runtime.NumCPU() { // NumCPU leaves out CPUs this process may not use
		t.Errorf("CPUs() = %d, %v; want at least %d", n, err, runtime.NumCPU())
	}
	if id, err := h.BootID(); err != nil || strings.Count(id, "-") != 4 {
		t.Errorf("BootID() = %q, %v; want a UUID", id, err)
	}
	if v, err := h.KernelVersion(); err != nil || v == "" {
		t.Errorf("KernelVersion() = %q, %v", v, err)
	}
	if _, err := h.Capabilities(); err != nil {
		t.Errorf("Capabilities: %v", err)
	}
	if rx, tx, err := h.LinkQueues("lo"); err != nil || rx < 1 || tx < 1 {
		t.Errorf("LinkQueues(lo) = %d, %d, %v", rx, tx, err)
	}
}
