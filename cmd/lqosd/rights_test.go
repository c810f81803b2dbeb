package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kernel"
	"lqosd/bus"
	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
)

// Groups that every Debian has, and an unlikely user.
const (
	commandGroup = "games"
	readGroup    = "mail"
	stranger     = 4711
	daemonUID    = 4001
)

// groupOf is the id of a group.
func groupOf(t testing.TB, name string) uint32 {
	t.Helper()
	g, err := user.LookupGroup(name)
	if err != nil {
		t.Fatal(err)
	}
	id, err := strconv.ParseUint(g.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(id)
}

// openPlace is a place that other users can reach, with the program in it.
func openPlace(t testing.TB, edit ...func(*lqosconf.Config)) place {
	t.Helper()
	p := newPlace(t, "example", edit...)
	p.letIn(t)
	return p
}

// letIn makes a place reachable for other users, and copies the program there.
func (p place) letIn(t testing.TB) {
	t.Helper()
	for _, dir := range []string{p.dir, filepath.Dir(p.dir)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	from, err := os.Open(program(t, "lqosd"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(p.lqosd(), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
}

// lqosd is the program of a place with letIn.
func (p place) lqosd() string { return filepath.Join(p.dir, "lqosd") }

// somebody is who sends, by real ids of a process of its own.
type somebody struct {
	name string
	attr syscall.SysProcAttr
	want right
}

func as(uid, gid uint32, groups ...uint32) syscall.SysProcAttr {
	return syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
}

// asRootOfNamespace is root in a user namespace of its own, and another out here.
func asRootOfNamespace(uid, gid int) syscall.SysProcAttr {
	return syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}},
		Credential:  &syscall.Credential{NoSetGroups: true},
	}
}

func everybody(t testing.TB, daemon uint32) []somebody {
	t.Helper()
	command, read := groupOf(t, commandGroup), groupOf(t, readGroup)
	return []somebody{
		{"root", as(0, 0), mayAdmin},
		{"the daemon's user", as(daemon, stranger), mayAdmin},
		{"the socket's group", as(stranger, command), mayCommand},
		{"the socket's group as a supplementary one", as(stranger, stranger, 7, command), mayCommand},
		{"both groups", as(stranger, read, command), mayCommand},
		{"root of a user namespace, out here in the socket's group", asRootOfNamespace(stranger, int(command)), mayCommand},
		{"the read group", as(stranger, read), mayRead},
		{"the read group as a supplementary one", as(stranger, stranger, read, 7), mayRead},
		{"nobody", as(65534, 65534), mayNothing},
		{"a user with root's group", as(stranger, 0), mayNothing},
		{"root of a user namespace", asRootOfNamespace(stranger, stranger), mayNothing},
	}
}

// send sends requests with lqosd send, as somebody; the error is that of the program, with what it says.
func (p place) send(t testing.TB, who somebody, requests ...string) ([]string, error) {
	t.Helper()
	_, answers, err := p.sendPID(t, who, requests...)
	return answers, err
}

// sendPID is send, and gives the pid of the sender, too.
func (p place) sendPID(t testing.TB, who somebody, requests ...string) (pid int, answers []string, err error) {
	t.Helper()
	var out, diag strings.Builder
	cmd := exec.Command(p.lqosd(), "send", "--socket", p.socket(), "--json", "--session", "1", "-")
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, &out, &diag
	cmd.Stdin = strings.NewReader(strings.Join(requests, "\n"))
	cmd.SysProcAttr = &who.attr
	if err = cmd.Run(); err != nil {
		err = fmt.Errorf("%w: %s", err, &diag)
	}
	for line := range strings.Lines(out.String()) {
		answers = append(answers, ordered(t, []byte(line)))
	}
	if cmd.Process != nil {
		pid = cmd.Process.Pid
	}
	return pid, answers, err
}

// ask is a request of the bus: the right that it needs, and the answer to those who have it.
type ask struct {
	need    right
	request string
	answer  string // a regexp
}

const aFilter = "filter add dev eth1 parent 1: matchall"

// asks are all requests of the bus, in an order in which each can be carried out.
func asks() []ask {
	const speeds = `"download_bandwidth_min":1,"upload_bandwidth_min":1,"download_bandwidth_max":10,"upload_bandwidth_max":10`
	return []ask{
		{mayRead, `"Ping"`, ackText},
		{mayCommand, mqSetup, ackText},
		{mayCommand, site(3, 100), ackText},
		{mayCommand, circuit(3, 4, 10), ackText},
		{mayCommand, `{"BakeryAddCircuitQdisc":{"interface":"eth1","parent_major":1,"parent_minor":4,"circuit_hash":4,"sqm_params":["cake"]}}`, ackText},
		{mayCommand, execute(false, "class add dev eth1 parent 1: classid 1:77 htb rate 1mbit"), ackText},
		{mayAdmin, execute(false, aFilter), ackText},
		{mayCommand, `{"MapIpToFlow":{"ip_address":"192.0.2.1","tc_handle":65540,"cpu":0,"upload":false}}`, ackText},
		{mayRead, `"ListIpFlow"`, `{"MappedIps":.*}`},
		{mayCommand, `{"DelIpFlow":{"ip_address":"192.0.2.1","upload":false}}`, ackText},
		{mayCommand, `"ClearIpFlow"`, ackText},
		{mayCommand, `"ClearHotCache"`, ackText},
		{mayRead, `"GetBakeryStats"`, `{"BakeryActiveCircuits":\d+}`},
		{mayCommand, `{"BakeryReportPreflight":{"ok":true,"message":""}}`, ackText},
		{mayCommand, `"BakeryStart"`, ackText},
		{mayCommand, `{"BakeryMqSetup":{"queues_available":2,"stick_offset":0}}`, ackText},
		{mayCommand, `{"BakeryAddSite":{"site_hash":-3,"parent_class_id":65536,"up_parent_class_id":65536,"class_minor":3,` + speeds + `}}`, ackText},
		{mayCommand, `{"BakeryAddCircuit":{"circuit_hash":4,"parent_class_id":65539,"up_parent_class_id":65539,"class_minor":4,"class_major":1,"up_class_major":1,"ip_addresses":"192.0.2.1",` + speeds + `}}`, ackText},
		{mayCommand, `"BakeryCommit"`, ackText},
		{mayCommand, `{"BakeryChangeSiteSpeedLive":{"site_hash":-3,` + speeds + `}}`, ackText},
		{mayCommand, clearPrior, ackText},
		{mayRead, `"LqosdStatus"`, `{"LqosdStatus":.*}`},
		{mayRead, `"LqosdTraffic"`, `{"Fail":"there is no dataplane: file mode"}`},
		{mayRead, `{"LqosdWait":{}}`, `{"LqosdWait":.*}`},
		{mayRead, `{"LqosdRecord":{"seq":1}}`, `{"LqosdRecord":.*}`},
		{mayRead, `"LqosdCopy"`, `{"LqosdCopy":.*}`},
		{mayRead, `{"LqosdCopyRead":{"name":"00000000000000000001.db","offset":0,"length":16}}`, `{"LqosdCopyData":.*}`},
		{mayRead, `{"BakeryNonsense":{}}`, `{"Fail":"unknown request BakeryNonsense"}`},
	}
}

var requestName = regexp.MustCompile(`^{?"(\w+)"`)

// TestRightsKnowAllRequests compares the matrix with the code, and with what docs/bus.md lists.
func TestRightsKnowAllRequests(t *testing.T) {
	known, documented := map[string]bool{}, map[string]bool{}
	for _, a := range asks() {
		known[requestName.FindStringSubmatch(a.request)[1]] = true
	}
	delete(known, "BakeryNonsense")
	_, table, _ := strings.Cut(mustRead(t, "../../docs/bus.md"), "\n## Requests\n")
	table, _, _ = strings.Cut(table, "\n### The kernel in LqosdStatus")
	for _, m := range regexp.MustCompile(`(?m)^\| ((?:Lqosd|Bakery|Get|Ping|Map|Del|Clear|List)\w*) \|`).FindAllStringSubmatch(table, -1) {
		if m[1] != "LqosdPartial" && m[1] != "LqosdUnknownOutcome" {
			documented[m[1]] = true
		}
	}
	if !maps.Equal(known, documented) {
		t.Errorf("the matrix has\n%q, docs/bus.md\n%q", slices.Sorted(maps.Keys(known)), slices.Sorted(maps.Keys(documented)))
	}
	for name := range queries {
		if !known[name] {
			t.Errorf("%s is not in the matrix", name)
		}
	}
	for name := range batchSteps {
		if !known[name] {
			t.Errorf("%s is not in the matrix", name)
		}
	}
	for _, name := range bakery.Requests() {
		if !known[name] {
			t.Errorf("%s is not in the matrix", name)
		}
	}
}

// TestRightsMatrix sends every request as everybody, over the real socket, to a daemon of root and to one of another user.
func TestRightsMatrix(t *testing.T) {
	testenv.Need(t, testenv.Root)
	for name, uid := range map[string]uint32{"a daemon of root": 0, "a daemon of another user": daemonUID} {
		t.Run(name, func(t *testing.T) {
			p := openPlace(t, func(c *lqosconf.Config) {
				c.Bakery.SocketGroup, c.Bakery.ReadGroup = commandGroup, readGroup
			})
			if err := os.Chown(p.dir, int(uid), -1); err != nil {
				t.Fatal(err)
			}
			p.startAs(t, as(uid, groupOf(t, commandGroup)), p.careless(t))
			for _, who := range everybody(t, uid) {
				t.Run(who.name, func(t *testing.T) { p.tryRights(t, who) })
			}
			p.checkFiles(t, uid)
		})
	}
}

// tryRights wants every request of somebody to be answered as his right says, and records of those who may send
// commands alone, with their ids.
func (p place) tryRights(t *testing.T, who somebody) {
	all := asks()
	requests := make([]string, len(all))
	for i, a := range all {
		requests[i] = a.request
	}
	before := lastSeq(t, p)
	pid, answers, err := p.sendPID(t, who, requests...)
	added := lastSeq(t, p) - before
	if who.want == mayNothing {
		if err == nil || len(answers) > 0 || added > 0 {
			t.Errorf("%d answers, %d records, %v; want none", len(answers), added, err)
		}
		p.waitRefused(t, who)
		return
	}
	if len(answers) != len(all) {
		t.Fatalf("%d answers, want %d: %v", len(answers), len(all), err)
	}
	records := uint64(0)
	for i, a := range all {
		want := a.answer
		switch {
		case who.want >= a.need:
			if a.answer == ackText && !slices.Contains(unrecorded, requestName.FindStringSubmatch(a.request)[1]) {
				records++
			}
		case who.want >= mayCommand:
			want = `{"Fail":"line 1, .*bakery.opaque_lines.*"}`
		default:
			want = `{"Fail":"uid \d+ may only read"}`
		}
		if !regexp.MustCompile("^(?:" + want + ")$").MatchString(answers[i]) {
			t.Errorf("%s is answered %.200s, want %s", a.request, answers[i], want)
		}
	}
	if who.want >= mayCommand {
		records-- // the BakeryMqSetup of the batch
	}
	if added != records {
		t.Errorf("%d records were added, want %d", added, records)
	}
	p.checkSender(t, who, pid, before+1, before+added)
}

// waitRefused wants lqosd wait to end long before its time is up, and to say why.
func (p place) waitRefused(t *testing.T, who somebody) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.lqosd(), "wait", "--socket", p.socket(), "--timeout", "10m")
	cmd.Dir, cmd.SysProcAttr = p.dir, &who.attr
	said, err := cmd.CombinedOutput()
	if ctx.Err() != nil || cmd.ProcessState.ExitCode() != 1 || !regexp.MustCompile("may not open|doesn't speak with this user").Match(said) {
		t.Errorf("lqosd wait ends with %v, %s", err, said)
	}
}

// unrecorded are requests that are acknowledged and need no record of their own.
var unrecorded = []string{"Ping", "ClearHotCache", "BakeryReportPreflight", "BakeryStart", "BakeryAddSite", "BakeryAddCircuit"}

// checkSender wants every record from first to last to name who sent it.
func (p place) checkSender(t *testing.T, who somebody, pid int, first, last uint64) {
	t.Helper()
	if last < first {
		return
	}
	uid, gid := who.attr.Credential.Uid, who.attr.Credential.Gid
	if m := who.attr.UidMappings; m != nil {
		uid, gid = uint32(m[0].HostID), uint32(who.attr.GidMappings[0].HostID)
	}
	sender := fmt.Sprintf(`"sender":{"gid":%d,"pid":%d,"uid":%d}`, gid, pid, uid)
	var asked []string
	for seq := first; seq <= last; seq++ {
		asked = append(asked, fmt.Sprintf(`{"LqosdRecord":{"seq":%d}}`, seq))
	}
	for i, answer := range talk(t, connect(t, p, bus.JSON), "", asked...) {
		if !strings.Contains(answer, sender) {
			t.Errorf("want %s in record %d: %.300s", sender, first+uint64(i), answer)
		}
	}
}

// careless is the program started with a umask that takes nothing away, and a directory for temporary files in TMPDIR.
func (p place) careless(t *testing.T) string {
	t.Helper()
	script := filepath.Join(p.dir, "careless")
	text := fmt.Sprintf("#!/bin/sh\numask 0\nTMPDIR=%s exec %s \"$@\"\n", p.temporary(), p.lqosd())
	steps(t, os.WriteFile(script, []byte(text), 0o755), os.Mkdir(p.temporary(), 0o755), os.Chmod(p.temporary(), 0o777|os.ModeSticky))
	return script
}

func (p place) temporary() string { return filepath.Join(p.dir, "tmp") }

// checkFiles wants what the daemon made to be its own, with the modes of docs/security.md whatever the umask, and nothing to be where all
// make files.
func (p place) checkFiles(t *testing.T, uid uint32) {
	t.Helper()
	client := connect(t, p, bus.JSON) // whose copy is there as long as it is
	says(t, talk(t, client, "", `"LqosdCopy"`)[0], `"LqosdCopy"`)
	state := filepath.Dir(p.logDir())
	copied, err := filepath.Glob(filepath.Join(state, copyPrefix+"*"))
	if err != nil || len(copied) != 1 {
		t.Fatalf("copies in %s: %q, %v", state, copied, err)
	}
	const segment = "00000000000000000001.db"
	for path, mode := range map[string]os.FileMode{
		p.socket(): 0o666, state: 0o755, p.logDir(): 0o750, filepath.Join(p.logDir(), "LOCK"): 0o600,
		filepath.Join(p.logDir(), segment): 0o600, filepath.Join(p.dir, "tc-rust.txt"): 0o644,
		copied[0]: 0o700, filepath.Join(copied[0], "eventlog", segment): 0o600,
	} {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != uid || info.Mode().Perm() != mode {
			t.Errorf("%s belongs to %d and has mode %v, want %d and %v", path, st.Uid, info.Mode(), uid, mode)
		}
	}
	if entries, err := os.ReadDir(p.temporary()); err != nil || len(entries) > 0 {
		t.Errorf("in TMPDIR: %v, %v", entries, err)
	}
}

// TestRightsOfTheSocket: without a read group the kernel itself keeps strangers out.
func TestRightsOfTheSocket(t *testing.T) {
	testenv.Need(t, testenv.Root)
	p := openPlace(t, func(c *lqosconf.Config) { c.Bakery.SocketGroup = commandGroup })
	p.serveHere(t)
	info, err := os.Lstat(p.socket())
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != 0o660 || st.Uid != 0 || st.Gid != groupOf(t, commandGroup) {
		t.Errorf("the socket has mode %v and belongs to %d:%d", info.Mode(), st.Uid, st.Gid)
	}
	for _, who := range []somebody{{attr: as(stranger, groupOf(t, readGroup))}, {attr: asRootOfNamespace(stranger, stranger)}} {
		if _, err := p.send(t, who, `"Ping"`); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("a stranger: %v", err)
		}
	}
}

// TestRightsToOpaqueLines: the setting says whose lines tc(8) may run word for word.
func TestRightsToOpaqueLines(t *testing.T) {
	testenv.Need(t, testenv.Root)
	root := somebody{attr: as(0, 0), want: mayAdmin}
	member := somebody{attr: as(stranger, groupOf(t, commandGroup)), want: mayCommand}
	for setting, least := range map[string]right{lqosconf.OpaqueAdmin: mayAdmin, lqosconf.OpaqueCommand: mayCommand, lqosconf.OpaqueRefuse: mayAdmin + 1} {
		t.Run(setting, func(t *testing.T) {
			p := openPlace(t, func(c *lqosconf.Config) { c.Bakery.SocketGroup, c.Bakery.OpaqueLines = commandGroup, setting })
			p.serveHere(t)
			for _, who := range []somebody{root, member} {
				want := ackText
				if who.want < least {
					want = `{"Fail":"line 1, .*bakery.opaque_lines.*"}`
				}
				answers, err := p.send(t, who, mqSetup, execute(false, aFilter))
				if len(answers) != 2 {
					t.Fatalf("%q, %v", answers, err)
				}
				expect(t, answers, ackText, want)
			}
		})
	}
}

// TestRefusedLinesDoNotRun: with opaque_lines = "refuse" the bakery has a kernel that runs none, whatever the log holds.
func TestRefusedLinesDoNotRun(t *testing.T) {
	for _, setting := range []string{lqosconf.OpaqueAdmin, lqosconf.OpaqueCommand, lqosconf.OpaqueRefuse} {
		d := &daemon{kernel: new(kernel.Kernel), settings: settings{Config: lqosconf.Default()}}
		d.settings.Bakery.OpaqueLines = setting
		k := d.applyOptions(bakery.Options{}).Kernel
		if setting != lqosconf.OpaqueRefuse {
			if k != bakery.Kernel(d.kernel) {
				t.Errorf("%s: the bakery has a %T", setting, k)
			}
			continue
		}
		if err := k.Execute(t.Context(), "help"); err == nil || !strings.Contains(err.Error(), `opaque_lines is "refuse"`) {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

// TestRightsOfOtherNamespaces: a peer whose ids this namespace doesn't have shows as the overflow ids, one of another
// PID namespace as process 0; neither is anybody.
func TestRightsOfOtherNamespaces(t *testing.T) {
	a := access{uid: daemonUID, command: 60, read: 8, hasCmd: true, hasRead: true}
	for _, tt := range []struct {
		peer bus.Peer
		want right
	}{
		{bus.Peer{PID: 0, UID: 65534, GID: 65534}, mayNothing},
		{bus.Peer{PID: 0, UID: 65534, GID: 65534, Groups: []uint32{65534, 0}}, mayNothing},
		{bus.Peer{PID: 0, UID: stranger, GID: 60}, mayCommand},
		{bus.Peer{PID: 0, UID: stranger, GID: 8}, mayRead},
		{bus.Peer{UID: 1 << 31, GID: 1<<32 - 1}, mayNothing},
	} {
		if got := a.of(tt.peer); got != tt.want {
			t.Errorf("%+v has right %d, want %d", tt.peer, got, tt.want)
		}
	}
	none := access{uid: daemonUID} // groups that the host doesn't have are not group 0
	if got := none.of(bus.Peer{UID: stranger, GID: 0, Groups: []uint32{0}}); got != mayNothing {
		t.Errorf("group 0 has right %d where no group is there", got)
	}
}
