package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"lqosd/internal/lqosconf"
)

// reach is a path that the daemon has to get at.
type reach struct {
	path     string
	mode     uint32 // of access(2)
	made     bool   // by the daemon, if it isn't there: what it would be made in counts
	optional bool   // it need not be there
	instead  bool   // the advice is how to do without it
	advice   string // for who can't

	refused string // why this thread's user can't get at it; "": he can
}

const (
	mayReadFile  = unix.R_OK
	mayWriteFile = unix.R_OK | unix.W_OK
	mayMakeFiles = unix.W_OK | unix.X_OK
)

// refuse finds out whether this thread's user can get at it.
func (r *reach) refuse() {
	path := r.path
	for r.made && path != filepath.Dir(path) {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		path = filepath.Dir(path)
	}
	err := unix.Access(path, r.mode)
	if err == nil || r.optional && errors.Is(err, fs.ErrNotExist) {
		return
	}
	verb := map[uint32]string{mayReadFile: "read", mayWriteFile: "write", mayMakeFiles: "make files in"}[r.mode]
	if closed := closedAbove(path); closed != "" {
		r.refused, r.advice, r.instead = fmt.Sprintf("can't %s %s: %s is closed%s", verb, r.path, closed, rights(closed)), "chmod o+x "+closed, false
		return
	}
	r.refused = fmt.Sprintf("can't %s %s: %v%s", verb, path, err, rights(path))
}

// closedAbove is the topmost directory above a path that this thread's user may not pass; "" if there is none.
func closedAbove(path string) (closed string) {
	path, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if unix.Access(dir, unix.X_OK) == unix.EACCES {
			closed = dir
		}
		if dir == filepath.Dir(dir) {
			return closed
		}
	}
}

// rights are mode and owner of a file, as far as they can be seen.
func rights(path string) string {
	var st unix.Stat_t
	info, err := os.Stat(path)
	if err == nil {
		err = unix.Stat(path, &st)
	}
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (%v, uid %d, gid %d)", info.Mode(), st.Uid, st.Gid)
}

// reaches are the files that a daemon of the unit has to get at; its socket is passed to it.
func reaches(s settings) []reach {
	state, log := s.Bakery.StateDirectory, filepath.Join(s.Bakery.StateDirectory, "eventlog")
	own := fmt.Sprintf("chown -R %s:%s %s", unitUser, unitGroup, state)
	all := []reach{
		{path: state, mode: mayMakeFiles, made: state != unitState, optional: state == unitState, advice: own}, // which systemd makes
		{path: log, mode: mayMakeFiles, optional: true, advice: own},
		{path: filepath.Join(log, "LOCK"), mode: mayWriteFile, optional: true, advice: own},
	}
	if s.configPath != "" {
		all = append(all, reach{path: s.configPath, mode: mayReadFile, advice: fmt.Sprintf("chgrp %s %s && chmod g+r %[2]s", unitGroup, s.configPath)})
	}
	if segments, _ := filepath.Glob(filepath.Join(log, "*.db")); len(segments) > 0 {
		all = append(all, reach{path: slices.Max(segments), mode: mayWriteFile, advice: own})
	}
	if s.Bakery.Mode == lqosconf.ModeFile {
		advice := fmt.Sprintf("systemctl edit %s: ExecStart=…/lqosd serve --config %s --tc-file %s; or give it the directory, and name that in ReadWritePaths=",
			unitUser, s.configPath, filepath.Join(unitState, "tc-rust.txt"))
		all = append(all, reach{path: s.LqosDirectory, mode: mayMakeFiles, instead: true, advice: advice},
			reach{path: filepath.Join(s.LqosDirectory, "tc-rust.txt"), mode: mayWriteFile, optional: true, instead: true, advice: advice})
	}
	return all
}

// examineAccount says what a user can't get at, one line for each thing to do. Verdict: that of a refusal.
func examineAccount(a account, s settings, v verdict) []finding {
	check := "user " + a.name
	all := reaches(s)
	err := a.try(func() {
		for i := range all {
			all[i].refuse()
		}
	})
	if err != nil {
		return []finding{{Check: check, Verdict: note, Text: "only root can see whether the user of the unit reaches its files", Advice: "run lqosd doctor as root, or as " + a.name}}
	}
	var found []finding
	for _, r := range all {
		if r.refused == "" || slices.ContainsFunc(found, func(f finding) bool { return f.Advice == r.advice }) {
			continue
		}
		f := finding{Check: check, Verdict: v, Text: r.refused, Advice: r.advice}
		if r.instead {
			f.Verdict = note
		}
		found = append(found, f)
	}
	if found == nil {
		found = []finding{{Check: check, Verdict: good, Text: fmt.Sprintf("reads %s, writes %s", s.configPath, s.Bakery.StateDirectory)}}
	}
	return found
}
