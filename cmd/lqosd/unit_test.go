package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"lqosd/bus"
	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
)

const packaging = "../../packaging"

// unitSettings are the settings of the service's unit, all values of each.
func unitSettings(t testing.TB) map[string][]string {
	t.Helper()
	settings := map[string][]string{}
	for line := range strings.Lines(mustRead(t, filepath.Join(packaging, "lqosd.service"))) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			settings[name] = append(settings[name], value)
		}
	}
	return settings
}

// TestUnitExposure: systemd-analyze(1) counts what the unit lets the daemon do.
func TestUnitExposure(t *testing.T) {
	testenv.Need(t, testenv.Systemd)
	const most = 2.0
	out, err := exec.Command("systemd-analyze", "security", "--no-pager", "--offline=true", fmt.Sprintf("--threshold=%.0f", most*10),
		filepath.Join(packaging, "lqosd.service")).CombinedOutput()
	m := regexp.MustCompile(`Overall exposure level for lqosd.service: ([\d.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure: %v\n%s", err, out)
	}
	exposure, err2 := strconv.ParseFloat(string(m[1]), 64)
	if err != nil || err2 != nil || exposure > most {
		t.Errorf("exposure %v, want at most %v: %v, %v\n%s", exposure, most, err, err2, out)
	}
	t.Logf("exposure %v", exposure)
}

// TestUnitsVerify: systemd understands the units as make install-units installs them.
func TestUnitsVerify(t *testing.T) {
	testenv.Need(t, testenv.Systemd)
	dest := t.TempDir()
	cmd := exec.Command("make", "--no-print-directory", "-C", "../..", "install-units", "DESTDIR="+dest, "PREFIX=/opt/lqosd")
	cmd.Env = append(os.Environ(), "MAKEFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lib := filepath.Join(dest, "opt/lqosd/lib")
	var units []string
	for _, name := range []string{"lqosd.service", "lqosd.socket", "run-lqosd-bpf.mount"} {
		path := filepath.Join(lib, "systemd/system", name)
		text := mustRead(t, path)
		if strings.Contains(text, "/usr/local") {
			t.Errorf("%s doesn't follow PREFIX", name)
		}
		// systemd-analyze looks whether the program is there.
		text = strings.ReplaceAll(text, "/opt/lqosd/sbin/lqosd", program(t, "lqosd"))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		units = append(units, path)
	}
	out, err := exec.Command("systemd-analyze", append([]string{"verify", "--man=no", "--recursive-errors=no"}, units...)...).CombinedOutput()
	if err != nil || len(bytes.TrimSpace(out)) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	says(t, mustRead(t, filepath.Join(lib, "sysusers.d/lqosd.conf")), "\ng lqos ", "\nu lqosd ")
	says(t, mustRead(t, filepath.Join(lib, "tmpfiles.d/lqosd.conf")), "\nd /run/lqos 0755 lqosd lqos ")
	says(t, mustRead(t, filepath.Join(lib, "modules-load.d/lqosd.conf")), "\nsch_htb\n")
}

// machines are those whose system calls the sandbox can filter: AUDIT_ARCH_… of linux/audit.h, and their numbers.
var machines = map[string]struct {
	arch   uint32
	header string
}{
	"amd64": {0xc000003e, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"},
}

// callsOf are the numbers of the system calls that the unit allows.
func callsOf(t testing.TB, header string, filters []string) []uint32 {
	t.Helper()
	numbers := map[string]uint32{}
	for _, m := range regexp.MustCompile(`(?m)^#define __NR_(\w+) (\d+)$`).FindAllStringSubmatch(mustRead(t, header), -1) {
		n, err := strconv.ParseUint(m[2], 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		numbers[m[1]] = uint32(n)
	}
	sets := map[string][]string{}
	var set string
	for line := range strings.Lines(command(t, "systemd-analyze", "syscall-filter", "--no-pager")) {
		switch word := strings.TrimSpace(line); {
		case word == "" || strings.HasPrefix(word, "#"):
		case !strings.HasPrefix(line, " "):
			set = word
		default:
			sets[set] = append(sets[set], word)
		}
	}
	allowed := map[uint32]bool{}
	var add func(name string, value bool)
	add = func(name string, value bool) {
		if n, ok := numbers[name]; ok {
			allowed[n] = value
		}
		for _, member := range sets[name] {
			add(member, value)
		}
	}
	add("@default", true)
	for _, filter := range filters {
		names, value := strings.TrimPrefix(filter, "~"), !strings.HasPrefix(filter, "~")
		for _, name := range strings.Fields(names) {
			add(name, value)
		}
	}
	var calls []uint32
	for n, value := range allowed {
		if value {
			calls = append(calls, n)
		}
	}
	slices.Sort(calls)
	if len(calls) < 100 {
		t.Fatalf("the unit allows only %d system calls", len(calls))
	}
	return calls
}

var capabilities = map[string]int{"CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_BPF": unix.CAP_BPF, "CAP_PERFMON": unix.CAP_PERFMON}

// unitSandbox is the sandbox of the unit for a daemon of this place.
func (p place) unitSandbox(t testing.TB, gid uint32) sandbox {
	t.Helper()
	settings := unitSettings(t)
	s := sandbox{Program: p.lqosd(), UID: daemonUID, GID: int(gid), Args: []string{"serve", "--config", p.config()},
		Writable: []string{p.dir, ownBPFFSPath}}
	for _, name := range strings.Fields(settings["CapabilityBoundingSet"][0]) {
		c, ok := capabilities[name]
		if !ok {
			t.Fatalf("the unit has %s", name)
		}
		s.Caps = append(s.Caps, c)
	}
	for _, name := range strings.Fields(settings["RestrictAddressFamilies"][0]) {
		s.Families = append(s.Families, map[string]uint32{"AF_UNIX": unix.AF_UNIX, "AF_NETLINK": unix.AF_NETLINK}[name])
	}
	for _, dir := range []string{"/home", "/root"} {
		if _, err := os.Stat(dir); err == nil {
			s.Hidden = append(s.Hidden, dir)
		}
	}
	if m, ok := machines[runtime.GOARCH]; ok {
		s.Arch, s.Calls = m.arch, callsOf(t, m.header, settings["SystemCallFilter"])
	} else {
		t.Logf("system calls are not filtered on %s", runtime.GOARCH)
	}
	return s
}

// ownBPFFSPath is where the unit's BPF file system is mounted.
const ownBPFFSPath = "/run/lqosd/bpf"

// mountOwn mounts the BPF file system as the units do, in a /run that this namespace has for itself.
func mountOwn(t testing.TB, uid, gid int) {
	t.Helper()
	err := unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")
	if err == nil {
		err = os.MkdirAll(ownBPFFSPath, 0o755)
	}
	if err == nil {
		err = unix.Mount("bpf", ownBPFFSPath, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700")
	}
	if err == nil {
		err = os.Chown(ownBPFFSPath, uid, gid)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startIn starts a daemon in a sandbox.
func (p place) startIn(t testing.TB, s sandbox) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", s.env(t)}
	return p.startCommand(t, cmd)
}

// TestUnitDoesTheJob runs a daemon with the rights of the unit: it builds a recorded network, attaches programs, is
// killed, and takes everything over.
func TestUnitDoesTheJob(t *testing.T) {
	inMappedField(t, "example", func(f *field) {
		testenv.Need(f.t, testenv.Systemd)
		gid := groupOf(f.t, commandGroup)
		f.letIn(f.t)
		if err := os.Chown(f.dir, daemonUID, int(gid)); err != nil {
			f.t.Fatal(err)
		}
		mountOwn(f.t, daemonUID, int(gid))
		s := f.unitSandbox(f.t, gid)
		f.needsItsRights(s)
		start := func() *process {
			d := f.startIn(f.t, s)
			if !d.waitServing(f.t) {
				f.t.Fatalf("the daemon ended: %v\n%s", d.err, d)
			}
			return d
		}
		d := start()
		f.wantConfined(d, gid)
		f.play(append(f.trace("trace.jsonl"), f.trace("ip.jsonl")...))
		f.play(append(f.trace("trace.jsonl"), f.trace("ip.jsonl")...))
		before := f.programs()
		f.sameAsLog()

		d.kill()
		f.watch.count()
		d = start()
		f.applied()
		f.wrote("a restart", 0)
		f.sameAsLog()
		if diff := cmp.Diff(before, f.programs()); diff != "" {
			f.t.Errorf("the restart changed programs or maps:\n%s", diff)
		}
		if st := f.status(); st.Dataplane.Writes > 0 || st.Kernel.Writes > 0 || len(st.Kernel.Problems) > 0 {
			f.t.Errorf("the restart wrote %d entries and %d ops, problems %+v", st.Dataplane.Writes, st.Kernel.Writes, st.Kernel.Problems)
		}
		f.wantNoPrograms()
		d.terminate(f.t)
		f.t.Logf("the daemon said:\n%s", d)
	}, func(c *lqosconf.Config) { c.Bakery.SocketGroup = commandGroup })
}

// wantConfined wants the daemon to have no more rights than the unit gives: proc_pid_status(5).
func (f *field) wantConfined(d *process, gid uint32) {
	f.t.Helper()
	wantRights(f.t, mustRead(f.t, fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid)), daemonUID, int(gid))
}

// wantRights wants a status of proc_pid_status(5) to have no more rights than the unit gives.
func wantRights(t testing.TB, status string, uid, gid int) {
	t.Helper()
	caps := fmt.Sprintf("%016x", 1<<unix.CAP_NET_ADMIN|1<<unix.CAP_BPF|1<<unix.CAP_PERFMON)
	ids := fmt.Sprintf("Uid:\t%d\t%[1]d\t%[1]d\t%[1]d\nGid:\t%d\t%[2]d\t%[2]d\t%[2]d\n", uid, gid)
	says(t, status, ids, "CapPrm:\t"+caps, "CapEff:\t"+caps, "CapBnd:\t"+caps, "CapAmb:\t"+caps, "NoNewPrivs:\t1\n")
	if machines[runtime.GOARCH].arch != 0 {
		says(t, status, "Seccomp:\t2\n")
	}
}

// programs are what is at the hooks, and the maps, with their ids.
func (f *field) programs() map[string]string {
	f.t.Helper()
	d := f.status().Dataplane
	if d.State != "running" {
		f.t.Fatalf("dataplane: %s", d.State)
	}
	ids := map[string]string{}
	for _, l := range d.Links {
		if l.Ingress.Kind == "" || l.Egress.Kind == "" {
			f.t.Errorf("%+v", l)
		}
		ids[l.Link] = fmt.Sprintf("ingress %s %d, egress %s %d", l.Ingress.Kind, l.Ingress.Program, l.Egress.Kind, l.Egress.Program)
	}
	for _, m := range d.Maps {
		ids["map "+m.Name] = fmt.Sprint(m.ID)
	}
	if !strings.HasPrefix(d.BPFFS.Directory, ownBPFFSPath+"/") || d.BPFFS.Why != "" {
		f.t.Errorf("pinned in %s: %s", d.BPFFS.Directory, d.BPFFS.Why)
	}
	return ids
}

// wantNoPrograms wants an opaque line not to reach tc(8): the unit lets nothing run.
func (f *field) wantNoPrograms() {
	f.t.Helper()
	c := connect(f.t, f.place, bus.JSON)
	expect(f.t, talk(f.t, c, "", execute(false, "filter add dev eth1 parent 1: matchall")), ackText)
	expect(f.t, talk(f.t, c, "", fmt.Sprintf(`{"LqosdWait":{"applied":true,"seq":%d}}`, seq(f.t, c))), `{"Fail":".*(permission denied|executable file not found).*"}`)
}

// needsItsRights is the negative control: with one capability less the daemon says which, and touches nothing.
func (f *field) needsItsRights(s sandbox) {
	f.t.Helper()
	for _, lacks := range []string{"CAP_NET_ADMIN", "CAP_BPF"} {
		less := s
		less.Caps = slices.DeleteFunc(slices.Clone(s.Caps), func(c int) bool { return c == capabilities[lacks] })
		d := f.startIn(f.t, less)
		if code := d.exitCode(f.t); code != 1 {
			f.t.Errorf("without %s: exit code %d, want 1", lacks, code)
		}
		says(f.t, d.String(), "apply mode can't work on this host: "+lacks)
	}
}
