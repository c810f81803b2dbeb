package replay

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// Form is one of the two ways to write a tree as tc lines.
type Form string

const (
	// FormCommands are the lines of each record, in log order: tc-rust.txt.
	FormCommands Form = "commands"
	// FormState is the shortest script that builds the tree from nothing.
	FormState Form = "state"
)

// Rendering says what Render writes.
type Rendering struct {
	From  eventlog.Seq // first record of the command form; 0 and 1: the oldest
	At    eventlog.Seq // last record
	Form  Form
	Rates bakery.Rates // of the command form; the state form is always exact
}

// Render writes tc lines.
func (s *Source) Render(ctx context.Context, w io.Writer, r Rendering) error {
	out := bufio.NewWriterSize(w, 1<<16)
	var err error
	switch r.Form {
	case FormCommands:
		err = s.renderCommands(ctx, out, r)
	case FormState:
		err = s.renderState(ctx, out, r.At)
	default:
		err = fmt.Errorf("form %q: must be %s or %s", r.Form, FormCommands, FormState)
	}
	if err != nil {
		return err
	}
	return out.Flush()
}

func (s *Source) renderCommands(ctx context.Context, out *bufio.Writer, r Rendering) error {
	if r.At < max(r.From, s.First()) {
		return nil
	}
	var lines []byte
	for rec, err := range s.Records(ctx, r.From, r.At) {
		if err != nil {
			return err
		}
		lines = bakery.AppendLines(lines[:0], rec.Command, r.Rates)
		if _, err := out.Write(lines); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) renderState(ctx context.Context, out *bufio.Writer, at eventlog.Seq) error {
	t, err := s.Tree(ctx, at)
	if err != nil {
		return err
	}
	return WriteState(out, t)
}

// WriteState writes the state form of a Tree.
func WriteState(w io.Writer, t *bakery.Tree) error {
	for _, l := range tc.Script(t.State()) {
		if _, err := fmt.Fprintln(w, l); err != nil {
			return err
		}
	}
	for _, o := range t.Opaque() {
		if _, err := fmt.Fprintln(w, o.Text); err != nil {
			return err
		}
	}
	return nil
}
