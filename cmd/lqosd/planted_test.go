package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
)

const victimText = "root:secret\n"

// trap is what somebody puts where the daemon makes its files, before it starts.
type trap struct {
	name  string
	plant func(t *testing.T, p place, victim string)
	says  string // of the error, or of the log if the daemon starts; with "not " in front: what it doesn't say
	runs  bool   // the daemon starts all the same, for what it refuses isn't needed
}

// steps runs what must not fail.
func steps(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func traps() []trap { return append(fileTraps(), directoryTraps()...) }

// fileTraps are in the place of files, and of the directories that are the daemon's own.
func fileTraps() []trap {
	tcFile := func(p place) string { return filepath.Join(p.dir, "tc-rust.txt") }
	state := func(p place) string { return filepath.Join(p.dir, "state") }
	return []trap{
		{"a symbolic link for the tc file", func(t *testing.T, p place, victim string) {
			steps(t, os.Symlink(victim, tcFile(p)))
		}, "tc-rust.txt is a symbolic link, and not followed", false},
		{"a symbolic link to nothing for the tc file", func(t *testing.T, p place, _ string) {
			steps(t, os.Symlink(filepath.Join(p.dir, "made-by-root"), tcFile(p)))
		}, "tc-rust.txt is a symbolic link, and not followed", false},
		{"another name of a file for the tc file", func(t *testing.T, p place, victim string) {
			steps(t, os.Link(victim, tcFile(p)))
		}, "tc-rust.txt has other names", false},
		{"somebody's own tc file", func(t *testing.T, p place, _ string) {
			steps(t, os.WriteFile(tcFile(p), nil, 0o666), os.Chown(tcFile(p), stranger, stranger))
		}, "tc-rust.txt belongs to uid 4711", false},
		{"a FIFO for the tc file", func(t *testing.T, p place, _ string) {
			steps(t, unix.Mkfifo(tcFile(p), 0o666))
		}, "tc file", false},
		{"a FIFO that somebody reads for the tc file", func(t *testing.T, p place, _ string) {
			steps(t, unix.Mkfifo(tcFile(p), 0o666))
			reader, err := os.OpenFile(tcFile(p), os.O_RDONLY|unix.O_NONBLOCK, 0)
			steps(t, err)
			t.Cleanup(func() { _ = reader.Close() })
		}, "tc-rust.txt is not a regular file", false},
		{"a directory of the tc file that is open to all", func(t *testing.T, p place, _ string) {
			lines := filepath.Join(p.dir, "lines")
			p.configure(t, "example", func(c *lqosconf.Config) { c.LqosDirectory = lines })
			steps(t, os.Mkdir(lines, 0o755), os.Chmod(lines, 0o777))
		}, "anybody may replace what is in", true},
		{"a symbolic link for the socket", func(t *testing.T, p place, victim string) {
			steps(t, os.Symlink(victim, p.socket()))
		}, "something that is not a socket", false},
		{"a file for the socket", func(t *testing.T, p place, _ string) {
			steps(t, os.WriteFile(p.socket(), nil, 0o666))
		}, "something that is not a socket", false},
		{"a socket directory open to all", func(t *testing.T, p place, _ string) {
			steps(t, os.Chmod(p.dir, 0o777))
		}, "anybody may replace what is in", false},
		{"a state directory open to all", func(t *testing.T, p place, _ string) {
			steps(t, os.Mkdir(state(p), 0o777), os.Chmod(state(p), 0o777))
		}, "anybody may replace what is in", false},
		{"somebody's symbolic link for the state directory", func(t *testing.T, p place, victim string) {
			steps(t, os.Symlink(filepath.Dir(victim), state(p)), os.Lchown(state(p), stranger, stranger))
		}, "state is a symbolic link of uid 4711", false},
		{"somebody's state directory in one that is open to all", func(t *testing.T, p place, _ string) {
			steps(t, os.Chmod(p.dir, 0o777|os.ModeSticky), os.Mkdir(state(p), 0o755), os.Chown(state(p), stranger, stranger))
		}, "state was put there by uid 4711", false},
		{"somebody's symbolic link for the log", func(t *testing.T, p place, victim string) {
			steps(t, os.Mkdir(state(p), 0o755), os.Symlink(filepath.Dir(victim), p.logDir()), os.Lchown(p.logDir(), stranger, stranger))
		}, "eventlog is a symbolic link of uid 4711", false},
		{"a symbolic link for the lock of the log", func(t *testing.T, p place, victim string) {
			steps(t, os.MkdirAll(p.logDir(), 0o755), os.Symlink(victim, filepath.Join(p.logDir(), "LOCK")))
		}, "is no regular file", true},
		{"a symbolic link for a segment of the log", func(t *testing.T, p place, victim string) {
			steps(t, os.MkdirAll(p.logDir(), 0o755), os.Symlink(victim, filepath.Join(p.logDir(), "00000000000000000001.db")))
		}, "is no regular file", true},
		{"a symbolic link for a segment in the making", func(t *testing.T, p place, victim string) {
			steps(t, os.MkdirAll(p.logDir(), 0o755), os.Symlink(victim, filepath.Join(p.logDir(), "00000000000000000001.db.tmp")))
		}, "", true},
		{"a symbolic link for a copy that was left", func(t *testing.T, p place, victim string) {
			steps(t, os.Mkdir(state(p), 0o755), os.Symlink(filepath.Dir(victim), filepath.Join(state(p), ".copy-1")))
		}, "", true},
	}
}

// directoryTraps are directories that others may write, or own.
func directoryTraps() []trap {
	return []trap{
		{"somebody's directory for everything", func(t *testing.T, p place, _ string) {
			steps(t, os.Chown(p.dir, stranger, stranger))
		}, "belongs to uid 4711, who may replace what is in it", true},
		{"a directory that a group may write", func(t *testing.T, p place, _ string) {
			steps(t, os.Chown(p.dir, -1, stranger), os.Chmod(p.dir, 0o775))
		}, "group 4711 may replace what is in ", true},
		{"a directory above that a group may write", func(t *testing.T, p place, _ string) {
			steps(t, os.Chown(filepath.Dir(p.dir), -1, stranger), os.Chmod(filepath.Dir(p.dir), 0o775))
		}, "group 4711 may replace what is in ", true},
		{"directories open to all, here and above, where nobody may replace what is another's", func(t *testing.T, p place, _ string) {
			steps(t, os.Chmod(p.dir, 0o777|os.ModeSticky), os.Chmod(filepath.Dir(p.dir), 0o777|os.ModeSticky))
		}, "not may replace what is in", true},
		{"directories that root's group may write", func(t *testing.T, p place, _ string) {
			steps(t, os.Chmod(p.dir, 0o775), os.Chmod(filepath.Dir(p.dir), 0o775))
		}, "not may replace what is in", true},
		{"a directory above that belongs to somebody", func(t *testing.T, p place, _ string) {
			steps(t, os.Chown(filepath.Dir(p.dir), stranger, stranger))
		}, "belongs to uid 4711, who may replace what is in it", true},
		{"a directory above that is open to all", func(t *testing.T, p place, _ string) {
			steps(t, os.Chmod(filepath.Dir(p.dir), 0o777))
		}, "anybody may replace what is in", true},
	}
}

// TestPlanted: whatever somebody puts where the daemon makes its files, nothing of others' is followed, written or removed.
func TestPlanted(t *testing.T) {
	testenv.Need(t, testenv.Root)
	for _, trap := range traps() {
		t.Run(trap.name, func(t *testing.T) {
			p := newPlace(t, "example")
			victims := t.TempDir()
			victim := filepath.Join(victims, "shadow")
			steps(t, os.WriteFile(victim, []byte(victimText), 0o600))
			trap.plant(t, p, victim)
			d := newDiary()
			log := slog.New(slog.NewTextHandler(io.MultiWriter(d, t.Output()), nil))
			said := p.tryServe(t, d, log, trap.runs)
			unwanted, not := strings.CutPrefix(trap.says, "not ")
			if strings.Contains(said, unwanted) == not {
				t.Errorf("it says %q, want %q", said, trap.says)
			}
			if got := mustRead(t, victim); got != victimText {
				t.Errorf("the other file holds %.100q", got)
			}
			entries, err := os.ReadDir(victims)
			if err != nil || len(entries) != 1 {
				t.Errorf("beside it are %v, %v", entries, err)
			}
			if _, err := os.Lstat(filepath.Join(p.dir, "made-by-root")); err == nil {
				t.Error("a file was made by a link to it")
			}
		})
	}
}

// tryServe serves until it serves or ends, and gives what it said.
func (p place) tryServe(t *testing.T, d *diary, log *slog.Logger, runs bool) string {
	t.Helper()
	if !runs {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		go func() {
			select {
			case <-d.serving: // which it must not
				cancel()
			case <-ctx.Done():
			}
		}()
		err := serve(ctx, serveFlags{config: p.config(), mode: lqosconf.ModeFile}, log)
		if err == nil {
			t.Fatal("the daemon serves")
		}
		return err.Error()
	}
	end := p.serveWith(t, lqosconf.ModeFile, d, log)
	end()
	return d.String()
}
