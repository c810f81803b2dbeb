package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/spf13/cobra"
)

// reported runs report with stderr in a pipe.
func reported(t *testing.T, err error) (code int, text string) {
	t.Helper()
	r, w, pipeErr := os.Pipe()
	if pipeErr != nil {
		t.Fatal(pipeErr)
	}
	old := os.Stderr
	os.Stderr = w
	code = report("tool", "tool --help", err)
	os.Stderr = old
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, readErr := io.ReadAll(r)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return code, string(b)
}

func TestExitCodes(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		code int
		text string
	}{
		{"none", nil, 0, ""},
		{"any", errors.New("no disk"), 1, "tool: no disk\n"},
		{"usage", Usagef("--n %d: too big", 7), 2, "tool: --n 7: too big\ntool --help\n"},
		{"usage, wrapped", fmt.Errorf("parsing: %w", Usagef("no")), 2, "tool: parsing: no\ntool --help\n"},
		{"quiet", Quiet(), 1, ""},
		{"quiet, joined", errors.Join(Quiet(), nil), 1, ""},
		{"trouble", ExitError{Code: Trouble, Err: errors.New("can't read")}, 2, "tool: can't read\n"},
		{"trouble by usage", ExitError{Code: Trouble, Err: Usagef("no")}, 2, "tool: no\ntool --help\n"},
		{"ended by a signal", context.Canceled, 1, "tool: context canceled\n"},
	} {
		if code, text := reported(t, tc.err); code != tc.code || text != tc.text {
			t.Errorf("%s: exit code %d and %q, want %d and %q", tc.name, code, text, tc.code, tc.text)
		}
	}
}

func TestHint(t *testing.T) {
	root := Root("tool", "Does things", "1.2")
	sub := &cobra.Command{Use: "sub FILE", RunE: func(*cobra.Command, []string) error { return nil }}
	root.AddCommand(sub)
	for cmd, want := range map[*cobra.Command]string{root: "tool --help lists commands and flags", sub: "usage: tool sub FILE\ntool sub --help shows how it is used"} {
		if got := hint(cmd); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestNoDaemon(t *testing.T) {
	for _, tc := range []struct {
		name   string
		hungUp bool
		err    error
		want   string
	}{
		{"no socket", false, syscall.ENOENT, "lqosd serve runs one, --socket names another place"},
		{"a signal came", false, context.Canceled, "dialing: context canceled"},
		{"no rights to open it", false, syscall.EACCES, "may not open bus (root and the socket's group may"},
		{"no rights to speak", true, io.EOF, "doesn't speak with this user (with root, its own user, bakery.socket_group and bakery.read_group)"},
	} {
		if err := NoDaemon("bus", "--socket", tc.hungUp, fmt.Errorf("dialing: %w", tc.err)); !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	cause := errors.New("cause")
	for _, err := range []error{UsageError{cause}, ExitError{3, cause}} {
		if err.Error() != "cause" || !errors.Is(err, cause) {
			t.Errorf("%#v", err)
		}
	}
	if got := Quiet().Error(); got != "exit code 1" {
		t.Errorf("Quiet is %q", got)
	}
}

// run executes a command tree with one command, sub, that takes one argument and a flag.
func run(args ...string) (string, error) {
	root := Root("tool", "Does things", "1.2")
	sub := &cobra.Command{Use: "sub FILE", Args: Args("FILE"), RunE: func(*cobra.Command, []string) error { return nil }}
	sub.Flags().Int("n", 0, "number")
	root.AddCommand(sub)
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.Execute()
	return out.String(), err
}

func TestRoot(t *testing.T) {
	for _, tc := range []struct {
		args  []string
		usage bool // an error of usage
		out   string
	}{
		{nil, false, "Does things"},
		{[]string{"--help"}, false, "Does things"},
		{[]string{"--version"}, false, "tool version 1.2\n"},
		{[]string{"sub", "file", "--n", "3"}, false, ""},
		{[]string{"nonsense"}, true, ""},
		{[]string{"--nonsense"}, true, ""},
		{[]string{"sub"}, true, ""},
		{[]string{"sub", "a", "b"}, true, ""},
		{[]string{"sub", "a", "--n", "x"}, true, ""},
	} {
		out, err := run(tc.args...)
		if isUsage := errors.As(err, new(UsageError)); isUsage != tc.usage || !tc.usage && err != nil {
			t.Errorf("%q: error %v", tc.args, err)
		}
		if tc.out == "" && out != "" || !bytes.Contains([]byte(out), []byte(tc.out)) {
			t.Errorf("%q printed %q, want %q", tc.args, out, tc.out)
		}
	}
}

func TestBarIsSilentElsewhere(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, w := range []io.Writer{&b, f} {
		bar := NewBar(w, 10, "things")
		bar.Add(5)
		bar.End()
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 0 || info.Size() > 0 {
		t.Errorf("a bar wrote %q and %d bytes where there is no terminal", b.String(), info.Size())
	}
}

func TestArgs(t *testing.T) {
	for _, tc := range []struct {
		names, args []string
		want        string
	}{
		{nil, nil, ""},
		{nil, []string{"a"}, `"a": this command takes no argument`},
		{[]string{"LOG"}, []string{"a"}, ""},
		{[]string{"LOG"}, nil, "LOG is missing"},
		{[]string{"LOG"}, []string{"a", "b"}, `"b": nothing may follow LOG`},
		{[]string{"LOG", "DIR"}, nil, "LOG and DIR is missing"},
		{[]string{"LOG", "DIR"}, []string{"a"}, "DIR is missing"},
	} {
		err := Args(tc.names...)(nil, tc.args)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || err.Error() != tc.want || !errors.As(err, new(UsageError))) {
			t.Errorf("%q for %q: %v, want %q", tc.args, tc.names, err, tc.want)
		}
	}
}

// TestInterruptible: what waits for ever is left behind, and what isn't wanted any more not begun.
func TestInterruptible(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	never := make(chan struct{})
	defer close(never)
	_, err := Interruptible(ctx, func() (int, error) { cancel(); <-never; return 0, nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_, err = Interruptible(ctx, func() (int, error) { t.Error("begun"); return 0, nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
