package main

import (
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"lqosd/bus"
	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
)

// service is the installed daemon under a real systemd, in a machine of its own.
type service struct {
	*field
	restarts int // that systemd has counted since it was started by hand
}

// inSystemd runs body in a machine whose first program is systemd, with what make install-units installs, and the programs.
func inSystemd(t *testing.T, name string, body func(s *service)) {
	t.Helper()
	options := testenv.VMOptions{Systemd: func() string { return installed(t) }}
	testenv.InVMWith(t, options, func(t *testing.T) {
		testenv.Need(t, testenv.TC)
		unitDefaults := func(c *lqosconf.Config) {
			c.LqosDirectory, c.Bakery.StateDirectory, c.Bakery.Socket, c.Bakery.SocketGroup = "/opt/libreqos", stateOfUnit, "/run/lqos/bus", "lqos"
		}
		s := &service{field: newField(t, name, false, unitDefaults)}
		if err := os.Symlink("/run/lqos/bus", s.socket()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("the journal:\n%s", command(t, "journalctl", "--no-pager", "-o", "cat", "-n", "100", "-u", "lqosd.service"))
			}
		})
		body(s)
	})
}

// installed is /usr/local after make install and make install-units.
func installed(t testing.TB) string {
	t.Helper()
	dest := t.TempDir()
	cmd := exec.Command("make", "--no-print-directory", "-C", "../..", "install-units", "DESTDIR="+dest)
	cmd.Env = append(os.Environ(), "MAKEFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	local := filepath.Join(dest, "usr/local")
	for name, folder := range map[string]string{"lqosd": "sbin", "bakery-replay": "bin"} {
		command(t, "install", "-D", "-m", "0755", program(t, name), filepath.Join(local, folder, name))
	}
	return local
}

// show asks systemd for properties of a unit.
func (s *service) show(unit string, names ...string) string {
	s.t.Helper()
	return command(s.t, "systemctl", "show", unit, "--property="+strings.Join(names, ","))
}

func (s *service) systemctl(words ...string) {
	s.t.Helper()
	command(s.t, "systemctl", words...)
}

// pid is the process of the daemon.
func (s *service) pid() int {
	s.t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(s.show("lqosd.service", "MainPID"), "MainPID=")))
	if err != nil || pid == 0 {
		s.t.Fatalf("no process: %v\n%s", err, command(s.t, "systemctl", "status", "--no-pager", "lqosd.service"))
	}
	return pid
}

// answers waits until a daemon answers at the socket, where systemd listens all the time, and has applied everything.
func (s *service) answers() {
	s.t.Helper()
	if err := s.applies(); err != nil {
		s.t.Fatal(err)
	}
}

// applies is answers, with the answer.
func (s *service) applies() error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for {
		c, err := bus.Dial(ctx, s.socket(), bus.DialOptions{}) // waits for 10 s
		if err == nil {
			err = errors.Join(c.Ask(ctx, appliedCall, &waitReply{}), c.Close())
			if !errors.Is(err, bus.ErrClosed) { // by a daemon that has just ended
				return err
			}
		}
		if ctx.Err() != nil {
			s.t.Fatalf("no daemon answers: %v\n%s", err, command(s.t, "systemctl", "status", "--no-pager", "lqosd.service", "lqosd.socket"))
		}
	}
}

// running wants the service to be active, which it is when the daemon has said READY=1, and restarted by systemd as often as expected.
func (s *service) running() {
	s.t.Helper()
	s.until("the service runs", func() bool { // whoever is served may ask before systemd has read that
		return !strings.Contains(s.show("lqosd.service", "ActiveState"), "=activating")
	})
	got, want := s.show("lqosd.service", "ActiveState", "SubState", "NRestarts", "Result"), fmt.Sprintf("Result=success\nNRestarts=%d\nActiveState=active\nSubState=running\n", s.restarts)
	if got != want {
		s.t.Errorf("want %s, got %s", want, got)
	}
}

// TestUnitUnderSystemd lets systemd start what make install-units installs: by the socket, in its sandbox, after SIGKILL, after a
// hang, after a stop. Each daemon takes over what the last one left, and writes nothing.
func TestUnitUnderSystemd(t *testing.T) {
	t.Parallel() // its machine has one processor
	inSystemd(t, "example", func(s *service) {
		s.booted()
		s.activated()
		s.confined()
		before, programs := s.field.show(), s.programs()
		same := func(what string) {
			s.t.Helper()
			s.answers()
			s.running()
			s.wrote(what, 0)
			s.shows(before)
			s.sameAsLog()
			if diff := cmp.Diff(programs, s.programs()); diff != "" {
				s.t.Errorf("%s changed programs or maps:\n%s", what, diff)
			}
			if st := s.status(); st.Dataplane.Writes > 0 || st.Kernel.Writes > 0 || len(st.Kernel.Problems) > 0 {
				s.t.Errorf("%s wrote %d entries and %d ops, problems %+v", what, st.Dataplane.Writes, st.Kernel.Writes, st.Kernel.Problems)
			}
		}

		s.watch.count()
		s.signal(unix.SIGKILL)
		s.restarts++
		same("a restart after SIGKILL")
		s.forbids()

		s.shortenWatchdog()
		same("systemctl restart")
		s.signal(unix.SIGSTOP)
		s.restarts++
		same("a restart by the watchdog")
		says(s.t, s.journal(), "SIGABRT: abort") // by which the watchdog asks a program to say where it hangs

		s.stopped()
		s.shows(before)
		s.wrote("systemctl stop", 0)
		s.answers() // the socket starts it
		same("a start after systemctl stop")
		s.letsTCRun()
	})
}

// letsTCRun wants an opaque line not to reach tc(8), until an administrator says so as docs/security.md advises. The line lacks
// what the kernel needs to know of such a filter, which it tells who asks.
func (s *service) letsTCRun() {
	s.t.Helper()
	s.wantNoPrograms()
	s.dropIn("tc", "[Service]\nExecPaths=/usr/sbin/tc /usr/lib /lib64\n")
	s.systemctl("restart", "lqosd.service")
	if err := s.applies(); err == nil || !strings.Contains(err.Error(), "RTNETLINK answers: ") {
		s.t.Errorf("want the kernel to have refused the line that tc(8) was given, got %v", err)
	}
}

// booted wants the user, the folders and the modules of packaging, and enables the units.
func (s *service) booted() {
	s.t.Helper()
	uid, gid := s.ids()
	for path, want := range map[string]string{"/run/lqos": fmt.Sprintf("755 %d:%d", uid, gid), "/run/lqosd": "755 0:0"} {
		if got := ownership(s.t, path); got != want {
			s.t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	for module := range strings.Lines(mustRead(s.t, filepath.Join(packaging, "modules-load.conf"))) {
		if module = strings.TrimSpace(module); module != "" && !strings.HasPrefix(module, "#") {
			says(s.t, mustRead(s.t, "/proc/modules"), module+" ")
		}
	}
	s.systemctl("enable", "lqosd.socket", "lqosd.service")
	for _, want := range []string{"sockets.target.wants/lqosd.socket", "multi-user.target.wants/lqosd.service"} {
		if _, err := os.Stat(filepath.Join("/etc/systemd/system", want)); err != nil {
			s.t.Error(err)
		}
	}
}

// ids are those of the daemon.
func (s *service) ids() (uid, gid int) {
	s.t.Helper()
	u, err := user.Lookup("lqosd")
	if err != nil {
		s.t.Fatal(err)
	}
	uid, err = strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err != nil || err2 != nil || uint32(gid) != groupOf(s.t, "lqos") {
		s.t.Fatalf("%+v: %v, %v", u, err, err2)
	}
	return uid, gid
}

func ownership(t testing.TB, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%o %d:%d", st.Mode&0o7777, st.Uid, st.Gid)
}

// activated lets the first request start the daemon, whose configuration is broken until systemd has tried twice, and builds
// the tree.
func (s *service) activated() {
	s.t.Helper()
	// Other units may start once in ten minutes.
	s.write("/etc/systemd/system.conf.d/limit.conf", "[Manager]\nDefaultStartLimitIntervalSec=600\nDefaultStartLimitBurst=1\n")
	s.systemctl("daemon-reload")
	s.systemctl("start", "lqosd.socket")
	_, gid := s.ids()
	if got, want := ownership(s.t, "/run/lqos/bus"), fmt.Sprintf("660 0:%d", gid); got != want {
		s.t.Errorf("the socket: %s, want %s", got, want)
	}
	if got := s.show("lqosd.service", "ActiveState", "MainPID"); got != "MainPID=0\nActiveState=inactive\n" {
		s.t.Errorf("before the first request: %s", got)
	}
	const config = "/etc/lqos.conf"
	s.write(config, "nonsense")
	if c, err := net.Dial("unix", s.socket()); err != nil || c.Close() != nil {
		s.t.Fatal(err)
	}
	s.until("a second start", func() bool { return s.counted() > 0 })
	s.write(config, mustRead(s.t, s.config()))
	s.answers()
	s.restarts = s.counted()
	s.running()
	s.play(append(s.trace("trace.jsonl"), s.trace("ip.jsonl")...))
	s.play(append(s.trace("trace.jsonl"), s.trace("ip.jsonl")...))
	s.sameAsLog()
	says(s.t, s.journal(), "msg=serving ")
}

// journal is what the daemon has said.
func (s *service) journal() string {
	s.t.Helper()
	command(s.t, "journalctl", "--sync") // journald may have more to read
	return command(s.t, "journalctl", "--no-pager", "-o", "cat", "-u", "lqosd.service")
}

// until waits for a condition.
func (s *service) until(what string, condition func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !condition(); {
		if time.Now().After(end) {
			s.t.Fatalf("%s: not within %v\n%s", what, patience, command(s.t, "systemctl", "list-units", "--no-pager", "--all", "lqosd*"))
		}
	}
}

// dropIn changes the unit of the daemon.
func (s *service) dropIn(name, text string) {
	s.t.Helper()
	s.write("/run/systemd/system/lqosd.service.d/"+name+".conf", text)
	s.systemctl("daemon-reload")
}

// write writes a file, in a folder that may be new.
func (s *service) write(path, text string) {
	s.t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// counted is how often systemd has restarted the daemon.
func (s *service) counted() int {
	s.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(s.show("lqosd.service", "NRestarts"), "NRestarts=")))
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// signal sends one to the daemon.
func (s *service) signal(sig unix.Signal) {
	s.t.Helper()
	if err := unix.Kill(s.pid(), sig); err != nil {
		s.t.Fatal(err)
	}
}

// shortenWatchdog restarts the daemon with a watchdog that a test can wait for.
func (s *service) shortenWatchdog() {
	s.t.Helper()
	if got := s.show("lqosd.service", "WatchdogUSec"); got != "WatchdogUSec=1min\n" {
		s.t.Error(got)
	}
	s.dropIn("watchdog", "[Service]\nWatchdogSec=20\n")
	s.systemctl("restart", "lqosd.service")
	s.restarts = 0
}

// stopped stops the daemon; the socket stays.
func (s *service) stopped() {
	s.t.Helper()
	s.systemctl("stop", "lqosd.service")
	s.restarts = 0
	if got := s.show("lqosd.service", "ActiveState", "Result", "ExecMainCode", "ExecMainStatus"); got != "Result=success\nExecMainCode=1\nExecMainStatus=0\nActiveState=inactive\n" {
		s.t.Errorf("systemctl stop: %s", got)
	}
	if got := s.show("lqosd.socket", "SubState"); got != "SubState=listening\n" {
		s.t.Errorf("the socket after systemctl stop: %s", got)
	}
}

// confined wants the daemon's process to have no more rights than the unit gives, and its limits.
func (s *service) confined() {
	s.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", s.pid())
	uid, gid := s.ids()
	wantRights(s.t, mustRead(s.t, proc+"status"), uid, gid)
	says(s.t, mustRead(s.t, proc+"status"), "Umask:\t0027\n", "Groups:\t"+strconv.Itoa(gid)+" \n")
	for path, want := range map[string]string{stateOfUnit: "750", stateOfUnit + "/eventlog": "750", ownBPFFSPath: "1700"} {
		if got := ownership(s.t, path); got != fmt.Sprintf("%s %d:%d", want, uid, gid) {
			s.t.Errorf("%s: %s, want %s %d:%d", path, got, want, uid, gid)
		}
	}
	for line := range strings.Lines(mustRead(s.t, proc+"limits")) {
		switch words := strings.Fields(line); {
		case strings.HasPrefix(line, "Max locked memory"):
			says(s.t, line, "unlimited            unlimited")
		case strings.HasPrefix(line, "Max open files"):
			if words[3] != "4096" || words[4] != "4096" {
				s.t.Error(line)
			}
		}
	}
	group := "/sys/fs/cgroup" + strings.TrimSpace(strings.TrimPrefix(mustRead(s.t, proc+"cgroup"), "0::"))
	if got := mustRead(s.t, group+"/pids.max"); got != "256\n" {
		s.t.Errorf("pids.max: %s", got)
	}
	for directive, at := range map[string]ebpf.AttachType{"IPAddressDeny, in": ebpf.AttachCGroupInetIngress, "IPAddressDeny, out": ebpf.AttachCGroupInetEgress, "DevicePolicy": ebpf.AttachCGroupDevice} {
		if n := programsAt(s.t, group, at); n != 1 {
			s.t.Errorf("%s: %d programs, want 1", directive, n)
		}
	}
}

// programsAt counts the BPF programs of a control group.
func programsAt(t testing.TB, group string, at ebpf.AttachType) int {
	t.Helper()
	dir, err := os.Open(group)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	result, err := link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: at})
	if err != nil {
		t.Fatal(err)
	}
	return len(result.Programs)
}

// forbids wants each attempt to fail under the unit, and to succeed in a unit with its user and capabilities alone.
func (s *service) forbids() {
	s.t.Helper()
	layTraps(s.t)
	const binary = "/run/attempts"
	self, err := os.Executable()
	if err == nil {
		err = isStatic(self)
	}
	if err == nil {
		err = os.WriteFile(binary, nil, 0o755)
	}
	if err == nil {
		err = unix.Mount(self, binary, "", unix.MS_BIND, "")
	}
	if err != nil {
		s.t.Fatal(err)
	}
	unit := mustRead(s.t, "/usr/local/lib/systemd/system/lqosd.service")
	under, without := s.attempt("under", unit, binary, others), s.attempt("without", unit, binary, privileges)
	for _, a := range attempts {
		if got := under[a.directive]; got != a.forbidden {
			s.t.Errorf("%s: %q, want %q", a.directive, got, a.forbidden)
		}
		if got := without[a.directive]; got != "" {
			s.t.Errorf("%s: without it %q, want success", a.directive, got)
		}
	}
	if !s.t.Failed() {
		s.t.Logf("%d attempts fail under the unit, and succeed without the sandbox", len(attempts))
	}
}

// isStatic tells why the sandbox wouldn't run a program, which lets no dynamic linker run.
func isStatic(program string) error {
	f, err := elf.Open(program)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("the unit runs static programs alone: run this test with CGO_ENABLED=0, as make test does")
		}
	}
	return nil
}

// others are the settings that are about more than one program that runs once; privileges those that no sandbox is.
func others(name string) bool {
	return !slices.Contains([]string{"Type", "NotifyAccess", "WatchdogSec", "ExecStartPre", "ExecStart", "Restart", "RestartSec"}, name)
}

func privileges(name string) bool {
	return slices.Contains([]string{"User", "Group", "StateDirectory", "CapabilityBoundingSet", "AmbientCapabilities"}, name)
}

// attempt makes the attempts in a unit that has some settings of the service, and gives what came of them.
func (s *service) attempt(name, unit, binary string, keep func(setting string) bool) map[string]string {
	s.t.Helper()
	out := "/run/" + name
	text := "[Service]\nType=oneshot\nExecStart=" + binary + "\nStandardOutput=file:" + out +
		"\nLimitRTPRIO=1\nEnvironment=" + attemptsEnv + "=" + machineNamespaces(s.t) + "\n"
	if keep("NoExecPaths") {
		text += "ExecPaths=" + binary + "\n"
	}
	_, settings, _ := strings.Cut(unit, "[Service]\n")
	settings, _, _ = strings.Cut(settings, "[Install]\n")
	for line := range strings.Lines(settings) {
		if setting, _, ok := strings.Cut(line, "="); ok && keep(setting) {
			text += line
		}
	}
	s.write("/run/systemd/system/"+name+".service", text)
	s.systemctl("start", name+".service")
	outcomes := map[string]string{}
	if err := json.Unmarshal([]byte(mustRead(s.t, out)), &outcomes); err != nil {
		s.t.Fatal(err)
	}
	return outcomes
}
