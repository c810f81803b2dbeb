package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/scripts"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts")

// TestScripts runs testdata/script. Beside the commands of testscript there are:
//
//	exits CODE PROGRAM ARG…      run a program that must end with that exit code
//	makelog DIR FILE             make a log of the requests in FILE, one a line; the line "roll" begins a segment
//	spoil TEXT FILE              change a byte of every TEXT in FILE
//	hide REGEXP FILE             replace matches in FILE, stdout or stderr with <…>, and write the result to FILE.plain
//	json FILE PATH VALUE         compare a value in a JSON document (or the last line of several) with VALUE, a regexp
//
// The log of network.jsonl, which every script finds, begins at 2025-01-31T14:00:00Z; a minute lies between two records.
// The condition [root] holds for root.
func TestScripts(t *testing.T) {
	network, err := filepath.Abs("testdata/network.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(cond string) (bool, error) {
			if cond != "root" {
				return false, fmt.Errorf("unknown condition %s", cond)
			}
			return os.Geteuid() == 0, nil
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", os.Getenv("GORACE"))
			text, err := os.ReadFile(network)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "network.jsonl"), text, 0o644)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scripts.Exits, "makelog": makelog, "spoil": spoil, "hide": hide, "json": scripts.JSON,
		},
	})
}

// begin is the time of a log's first record.
var begin = time.Date(2025, 1, 31, 14, 0, 0, 0, time.UTC)

func makelog(ts *testscript.TestScript, neg bool, args []string) {
	scripts.Usage(ts, neg, len(args) == 2, "makelog DIR FILE")
	ts.Check(writeLog(ts.MkAbs(args[0]), ts.ReadFile(args[1])))
}

// writeLog makes a log of requests, one a line.
func writeLog(dir, requests string) (err error) {
	tree := bakery.NewTree()
	now := func() time.Time { return begin.Add(time.Duration(tree.Seq) * time.Minute) }
	l, err := eventlog.Open(dir, eventlog.Options{Clock: now})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	for line := range strings.Lines(requests) {
		if strings.TrimSpace(line) == `"roll"` {
			err = roll(l, tree)
		} else {
			err = add(l, tree, now(), []byte(line))
		}
		if err != nil {
			return fmt.Errorf("%s: %w", strings.TrimSpace(line), err)
		}
	}
	return nil
}

func add(l *eventlog.Log, tree *bakery.Tree, now time.Time, request []byte) error {
	c, err := parseCommand(request)
	if err != nil {
		return err
	}
	if e, ok := c.(bakery.ExecuteTCCommands); ok {
		for i, line := range e.Lines {
			if strings.HasPrefix(line, "filter ") {
				e.Opaque = append(e.Opaque, i)
			}
		}
		c = e
	}
	r := bakery.Record{Seq: tree.Seq + 1, Time: now, Sender: bakery.Sender{UID: 1000, GID: 100, PID: 4321}, Command: c}
	if err := bakery.Fold(tree, r); err != nil {
		return err
	}
	p, err := l.Enqueue(eventlog.Tx{Records: [][]byte{bakery.AppendRecord(nil, r)}})
	if err == nil {
		_, err = p.Wait()
	}
	return err
}

func roll(l *eventlog.Log, tree *bakery.Tree) error {
	p, err := l.Roll(eventlog.Snapshot{Mark: tree.Generation, Write: func(w io.Writer) error {
		_, err := w.Write(tree.AppendSnapshot(nil))
		return err
	}})
	if err == nil {
		_, err = p.Wait()
	}
	return err
}

// parseCommand reads a request of the bus, resolved as a daemon with two links would.
func parseCommand(line []byte) (bakery.Command, error) {
	call, err := bus.ParseCall(line)
	if err != nil {
		return nil, err
	}
	args, _ := call.Args.(json.RawMessage)
	c, err := bakery.DecodeCommand(call.Name, args != nil, func(v any) error { return json.Unmarshal(args, v) })
	switch c.(type) {
	case bakery.MqSetup:
		sqm := []string{"cake", "diffserv4"}
		return bakery.MqSetup{Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 2, CapacityMbps: 1000, SQM: sqm},
			Up: bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 2, CapacityMbps: 500, SQM: sqm}, R2Q: 2084}, err
	case bakery.ClearPriorSettings:
		return bakery.ClearPriorSettings{Links: []string{"eth1", "eth0"}}, err
	}
	return c, err
}

func spoil(ts *testscript.TestScript, neg bool, args []string) {
	scripts.Usage(ts, neg, len(args) == 2, "spoil TEXT FILE")
	path, b := ts.MkAbs(args[1]), []byte(ts.ReadFile(args[1]))
	if !bytes.Contains(b, []byte(args[0])) {
		ts.Fatalf("%s doesn't hold %q", args[1], args[0])
	}
	spoilt := []byte(args[0])
	spoilt[len(spoilt)/2] ^= 4
	ts.Check(os.Chmod(path, 0o600))
	ts.Check(os.WriteFile(path, bytes.ReplaceAll(b, []byte(args[0]), spoilt), 0o600))
}

func hide(ts *testscript.TestScript, neg bool, args []string) {
	scripts.Usage(ts, neg, len(args) == 2, "hide REGEXP FILE")
	re, err := regexp.Compile(args[0])
	ts.Check(err)
	text := ts.ReadFile(args[1])
	if !re.MatchString(text) {
		ts.Fatalf("no match of %s", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]+".plain"), []byte(re.ReplaceAllString(text, "<…>")), 0o644))
}
