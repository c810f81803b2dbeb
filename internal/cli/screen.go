package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Screen is what the commands of a program do for who sits at a terminal: they show how far they are, and long output in a pager.
type Screen struct {
	// Watch makes what a command does with a context report how far it is.
	Watch func(ctx context.Context, report func(done, total uint64)) context.Context
	Paged []string // commands whose output may be long
}

// Equip gives that to all commands below root.
func (s Screen) Equip(root *cobra.Command) {
	noPager := root.PersistentFlags().Bool("no-pager", false, "print long output without a pager")
	for _, cmd := range root.Commands() {
		paged := slices.Contains(s.Paged, cmd.Name())
		if run := cmd.RunE; run != nil {
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				return s.run(cmd, paged && !*noPager && forPeople(cmd), func() error { return run(cmd, args) })
			}
		}
	}
}

// forPeople reports flags that ask for text, now, and not in a file.
func forPeople(cmd *cobra.Command) bool {
	for name, other := range map[string][]string{"json": {"false"}, "output": {"", "-"}, "format": {"text"}, "follow": {"false"}} {
		if f := cmd.Flags().Lookup(name); f != nil && !slices.Contains(other, f.Value.String()) {
			return false
		}
	}
	return true
}

func (s Screen) run(cmd *cobra.Command, paged bool, run func() error) error {
	bar := NewBar(cmd.ErrOrStderr(), 0, "records")
	defer bar.End()
	if bar.file != nil {
		cmd.SetErr(besideBar{cmd.ErrOrStderr(), bar})
	}
	if f, ok := File(cmd.OutOrStdout()); ok && term.IsTerminal(int(f.Fd())) {
		show := &shown{to: cmd.OutOrStdout(), done: cmd.Context().Done(), file: f, bar: bar}
		if paged && os.Getenv("TERM") != "dumb" {
			show.columns, show.rows, _ = term.GetSize(int(f.Fd()))
		}
		cmd.SetOut(show)
		work := run
		run = func() error { return show.end(work()) }
	}
	cmd.SetContext(s.Watch(cmd.Context(), bar.Set))
	return run()
}

// shown is output to a terminal. It is kept back until it is more than the screen holds, and then goes to a pager.
type shown struct {
	to            io.Writer
	done          <-chan struct{} // when nobody wants it any more
	file          *os.File        // the terminal
	bar           *Bar
	rows, columns int // of the screen; 0: without a pager

	kept  []byte // less than a screen, and what was written last
	pager *pager
}

// invisible are the sequences that set colours.
var invisible = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Write takes output in.
func (s *shown) Write(p []byte) (int, error) {
	s.bar.End()
	if s.rows == 0 {
		return s.to.Write(p)
	}
	if s.pager == nil {
		s.kept = append(s.kept, p...)
		if s.measure(s.kept) < s.rows {
			return len(p), nil
		}
		return len(p), s.page()
	}
	return s.send(p)
}

// measure is how many lines of the screen p takes, or nearly so.
func (s *shown) measure(p []byte) (n int) {
	for line := range bytes.Lines(p) {
		n += max(1, (utf8.RuneCount(invisible.ReplaceAll(bytes.TrimSuffix(line, []byte("\n")), nil))+s.columns-1)/s.columns)
	}
	return n
}

// page starts the pager with what was kept.
func (s *shown) page() (err error) {
	kept := s.kept
	s.kept = nil
	cmd := pagerCommand()
	if cmd == nil {
		s.rows = 0
		_, err = s.to.Write(kept)
		return err
	}
	if s.pager, err = startPager(cmd, s.file); err != nil {
		return err
	}
	_, err = s.send(kept)
	return err
}

func (s *shown) send(p []byte) (int, error) {
	n, err := output{s.pager.in, s.done}.Write(p)
	return n, left(err)
}

// end shows what is left to show, and gives the error of the command, which a pager that was left is not.
func (s *shown) end(err error) error {
	if len(s.kept) > 0 {
		_, wrote := s.to.Write(s.kept)
		err = errors.Join(err, wrote)
	}
	if s.pager == nil {
		return err
	}
	waited := s.pager.wait()
	if errors.Is(err, ErrLeft) {
		return waited
	}
	return errors.Join(err, waited)
}
