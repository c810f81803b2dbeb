// Package scripts holds commands that the testscripts of both programs use, beside
// those that testscript has itself.
package scripts

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// Usage ends the script unless a command was called as text says.
func Usage(ts *testscript.TestScript, neg, ok bool, text string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", text)
	}
}

// Exits is the command "exits CODE PROGRAM ARG…": it runs a program that must end with
// that exit code.
func Exits(ts *testscript.TestScript, neg bool, args []string) {
	Usage(ts, neg, len(args) >= 2, "exits CODE PROGRAM ARG…")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got, err = exit.ExitCode(), nil
	}
	ts.Check(err)
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// JSON is the command "json FILE PATH VALUE": it compares a value in a JSON document, or
// in the last of several, with VALUE, a regular expression. PATH is like .tree.links.0
// or .log, whose value is its keys, or . for the whole.
func JSON(ts *testscript.TestScript, neg bool, args []string) {
	Usage(ts, neg, len(args) == 3, "json FILE PATH VALUE")
	var v any
	d := json.NewDecoder(strings.NewReader(ts.ReadFile(args[0])))
	d.UseNumber()
	for {
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			break
		}
		ts.Check(err)
	}
	for step := range strings.FieldsFuncSeq(args[1], func(r rune) bool { return r == '.' }) {
		v = follow(ts, v, step)
	}
	if got := show(v); !regexp.MustCompile("^(?:" + args[2] + ")$").MatchString(got) {
		ts.Fatalf("%s is %q, want %q", args[1], got, args[2])
	}
}

// follow takes one step into a JSON value.
func follow(ts *testscript.TestScript, v any, step string) any {
	switch at := v.(type) {
	case map[string]any:
		next, ok := at[step]
		if !ok {
			ts.Fatalf("no %s in %v", step, slices.Sorted(maps.Keys(at)))
		}
		return next
	case []any:
		i, err := strconv.Atoi(step)
		ts.Check(err)
		if i >= len(at) {
			ts.Fatalf("%d elements, no number %d", len(at), i)
		}
		return at[i]
	}
	ts.Fatalf("no %s in %v", step, v)
	return nil
}

func show(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return strings.Join(slices.Sorted(maps.Keys(v)), " ")
	case []any:
		return fmt.Sprintf("%d elements", len(v))
	}
	return fmt.Sprint(v)
}
