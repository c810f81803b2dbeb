package replay

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"

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
	Link  string       // only the lines of this link; "": all
	// Replace makes a state form that runs over what the links have: a root of the same handle would stay, with
	// all that is in it.
	Replace bool
}

// Render writes tc lines.
func (s *Source) Render(ctx context.Context, w io.Writer, r Rendering) error {
	out := bufio.NewWriterSize(w, 1<<16)
	var err error
	switch r.Form {
	case FormCommands:
		err = s.renderCommands(ctx, out, r)
	case FormState:
		err = s.renderState(ctx, out, r)
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
		if r.Link != "" {
			lines = onLink(lines, r.Link)
		}
		if _, err := out.Write(lines); err != nil {
			return err
		}
	}
	return nil
}

// onLink keeps the lines of a link. It writes over them.
func onLink(lines []byte, link string) []byte {
	kept := lines[:0]
	for line := range bytes.Lines(lines) {
		words := bytes.Fields(line)
		if i := slices.IndexFunc(words, func(w []byte) bool { return string(w) == "dev" }); i >= 0 && i+1 < len(words) && string(words[i+1]) == link {
			kept = append(kept, line...)
		}
	}
	return kept
}

func (s *Source) renderState(ctx context.Context, out *bufio.Writer, r Rendering) error {
	t, err := s.Tree(ctx, r.At)
	if err != nil {
		return err
	}
	return writeState(out, t, r.Link, r.Replace)
}

// WriteState writes the state form of a Tree.
func WriteState(w io.Writer, t *bakery.Tree) error { return writeState(w, t, "", false) }

func writeState(w io.Writer, t *bakery.Tree, link string, replace bool) error {
	state := t.State()
	if link != "" {
		state = state.Only(link)
	}
	for _, l := range state.Links() {
		if _, root := state.Qdisc(l, tc.Root); !root || !replace {
			continue
		}
		if _, err := fmt.Fprintf(w, "qdisc replace dev %s root pfifo\n", l); err != nil {
			return err
		}
	}
	for _, l := range tc.Script(state) {
		if _, err := fmt.Fprintln(w, l); err != nil {
			return err
		}
	}
	for _, o := range t.Opaque() {
		if link != "" && o.Link != link {
			continue
		}
		if _, err := fmt.Fprintln(w, o.Text); err != nil {
			return err
		}
	}
	return nil
}
