package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
)

// TestDoctorLooksAsTheUnitsUser: root can do everything, the user of the unit can't. doctor says what, and what to do.
func TestDoctorLooksAsTheUnitsUser(t *testing.T) {
	testenv.Need(t, testenv.Root)
	gid := groupOf(t, readGroup)
	a := account{name: unitUser, uid: daemonUID, gid: stranger, groups: []uint32{gid}}
	own := func(t *testing.T, paths ...string) {
		for _, path := range paths {
			steps(t, os.Chown(path, daemonUID, int(gid)))
		}
	}
	const ok = "reads DIR/lqos.conf, writes DIR/state"
	for _, tt := range []struct {
		name, mode string
		do         func(t *testing.T, p place)
		verdict    verdict
		text       string
		advice     string
	}{
		{"all is well", lqosconf.ModeApply, func(*testing.T, place) {}, good, ok, ""},
		{"a configuration of root's alone", lqosconf.ModeApply, func(t *testing.T, p place) { steps(t, os.Chmod(p.config(), 0o600)) },
			bad, "can't read DIR/lqos.conf: permission denied (-rw-------, uid 0, gid 0)", "chgrp lqos DIR/lqos.conf && chmod g+r DIR/lqos.conf"},
		{"one of a group of his", lqosconf.ModeApply, func(t *testing.T, p place) {
			steps(t, os.Chmod(p.config(), 0o640), os.Chown(p.config(), 0, int(gid)))
		}, good, ok, ""},
		{"a state directory of root's", lqosconf.ModeApply, func(t *testing.T, p place) { steps(t, os.Chown(filepath.Dir(p.logDir()), 0, 0)) },
			bad, "can't make files in DIR/state: permission denied (drwxr-xr-x, uid 0, gid 0)", "chown -R lqosd:lqos DIR/state"},
		{"no state directory, and no way to make it", lqosconf.ModeApply, func(t *testing.T, p place) { steps(t, os.RemoveAll(filepath.Dir(p.logDir()))) },
			bad, "can't make files in DIR: permission denied (drwxr-xr-x, uid 0, gid 0)", "chown -R lqosd:lqos DIR/state"},
		{"a log that root's daemon left", lqosconf.ModeApply, func(t *testing.T, p place) { steps(t, os.Chown(filepath.Join(p.logDir(), "LOCK"), 0, 0)) },
			bad, "can't write DIR/state/eventlog/LOCK: permission denied (-rw-------, uid 0, gid 0)", "chown -R lqosd:lqos DIR/state"},
		{"a segment that root's daemon left", lqosconf.ModeApply, func(t *testing.T, p place) { steps(t, os.Chown(p.segment(), 0, 0)) },
			bad, "can't write DIR/state/eventlog/00000000000000000001.db: permission denied (-rw-------, uid 0, gid 0)", "chown -R lqosd:lqos DIR/state"},
		{"a directory above that is closed", lqosconf.ModeApply, func(t *testing.T, p place) { steps(t, os.Chmod(p.dir, 0o700)) },
			bad, "can't make files in DIR/state: DIR is closed (drwx------, uid 0, gid 0)", "chmod o+x DIR"},
		{"file mode", lqosconf.ModeFile, func(*testing.T, place) {}, note, "can't make files in DIR: permission denied (drwxr-xr-x, uid 0, gid 0)",
			"systemctl edit lqosd: ExecStart=…/lqosd serve --config DIR/lqos.conf --tc-file /var/lib/lqosd/tc-rust.txt; or give it the directory, and name that in ReadWritePaths="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPlace(t, "example", func(c *lqosconf.Config) { c.Bakery.Mode = tt.mode })
			steps(t, os.Chmod(p.dir, 0o755), os.Chmod(filepath.Dir(p.dir), 0o755), os.MkdirAll(p.logDir(), 0o755),
				os.WriteFile(filepath.Join(p.logDir(), "LOCK"), nil, 0o600), os.WriteFile(p.segment(), nil, 0o600))
			own(t, filepath.Dir(p.logDir()), p.logDir(), filepath.Join(p.logDir(), "LOCK"), p.segment())
			tt.do(t, p)
			s, _, err := readConfig(p.config())
			if err != nil {
				t.Fatal(err)
			}
			want := finding{Check: "user lqosd", Verdict: tt.verdict, Text: strings.ReplaceAll(tt.text, "DIR", p.dir), Advice: strings.ReplaceAll(tt.advice, "DIR", p.dir)}
			if got := examineAccount(a, s, bad)[0]; got != want {
				t.Errorf("it says\n%+v, want\n%+v", got, want)
			}
		})
	}
	inside := -1
	if err := a.try(func() { inside = os.Geteuid() }); err != nil || inside != daemonUID || os.Geteuid() != 0 {
		t.Errorf("uid %d within, %d after it, %v", inside, os.Geteuid(), err)
	}
}

// TestTrusted: root's files are trusted, and those of the daemon's user, whoever that is; a group that may write is trusted if nobody but
// the daemon is in it.
func TestTrusted(t *testing.T) {
	testenv.Need(t, testenv.Root)
	dir := t.TempDir()
	infos := map[string]os.FileInfo{}
	for name, ids := range map[string][2]int{"root": {0, 0}, "own": {daemonUID, stranger}, "other": {stranger + 1, stranger + 1}} {
		path := filepath.Join(dir, name)
		steps(t, os.Mkdir(path, 0o755), os.Chmod(path, 0o775), os.Chown(path, ids[0], ids[1]))
		info, err := os.Stat(path)
		steps(t, err)
		infos[name] = info
	}
	mine, theirs := access{}, access{command: stranger, hasCmd: true}
	got := map[string][3]bool{}
	err := account{name: unitUser, uid: daemonUID, gid: stranger}.try(func() {
		for name, info := range infos {
			_, open := mine.openToGroup(info)
			_, openToSenders := theirs.openToGroup(info)
			got[name] = [3]bool{trusted(info), open, openToSenders}
		}
	})
	want := map[string][3]bool{"root": {true, false, false}, "own": {true, false, true}, "other": {false, true, true}}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("trusted, open to a group, to the socket's group: %v, want %v; %v", got, want, err)
	}
}

func (p place) segment() string { return filepath.Join(p.logDir(), "00000000000000000001.db") }

// TestUnitAccount: what doctor knows of the unit is what the unit says.
func TestUnitAccount(t *testing.T) {
	settings := unitSettings(t)
	for name, want := range map[string]string{"User": unitUser, "Group": unitGroup, "StateDirectory": filepath.Base(unitState)} {
		if got := settings[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q in the unit, %q for doctor", name, got, want)
		}
	}
}

// TestUnitModes: what the units make is open to those alone who are meant, whatever else they say.
func TestUnitModes(t *testing.T) {
	for unit, lines := range map[string][]string{
		"lqosd.service":       {"UMask=0027", "StateDirectoryMode=0750"},
		"lqosd.socket":        {"ListenStream=/run/lqos/bus", "DirectoryMode=0755", "SocketUser=root", "SocketGroup=lqos", "SocketMode=0660"},
		"run-lqosd-bpf.mount": {"Options=nosuid,nodev,noexec,mode=0700"},
		"tmpfiles.conf":       {"d /run/lqos 0755 lqosd lqos -", "d /run/lqosd 0755 root root -"},
	} {
		for _, line := range lines {
			says(t, "\n"+mustRead(t, filepath.Join(packaging, unit)), "\n"+line+"\n")
		}
	}
}
