package bakery

import (
	"fmt"
	"slices"
	"strings"

	"lqosd/eventlog"
)

// admit resolves and folds the commands of a ticket, one after the other, and
// gives the payloads of those that could be folded. The tree is then ahead of the
// log by those records.
func (f *folder) admit(t *Ticket) [][]byte {
	var undo *Tree
	if t.sub.Key != "" {
		undo = f.tree.Clone()
	}
	payloads := make([][]byte, 0, len(t.sub.Commands))
	refused := false
	for i, c := range t.sub.Commands {
		payload, out := f.admitOne(t, c)
		t.outcomes[i] = out
		if payload != nil {
			payloads = append(payloads, payload)
			t.accepted = append(t.accepted, i)
		}
		refused = refused || out.Err != nil
	}
	if undo != nil && refused {
		f.tree = undo
		t.lines, t.accepted = nil, nil
		t.failAll(errOtherRefused)
		return nil
	}
	return payloads
}

// admitOne gives the payload to append, or an Outcome with an error.
func (f *folder) admitOne(t *Ticket, asked Command) ([]byte, Outcome) {
	command, err := f.resolve(asked)
	if err != nil {
		return nil, Outcome{Err: err}
	}
	r := Record{Seq: f.tree.Seq + 1, Time: f.o.Now(), Sender: t.sub.Sender, Command: command}
	if e, ok := command.(ExecuteTCCommands); ok {
		return f.admitLines(t, r, e)
	}
	// Lines are written against the tree before the fold, which the fold replaces.
	mark := len(t.lines)
	var before *Tree
	if command.Kind() == KindClearPriorSettings {
		before = f.tree.Clone()
	}
	if err := f.tree.fold(r); err != nil {
		t.lines = t.lines[:mark]
		return nil, Outcome{Err: err}
	}
	f.tree.Seq = r.Seq
	t.lines = AppendLines(t.lines, before, command, RatesAsClient)
	return AppendRecord(nil, r), Outcome{Seq: r.Seq}
}

func (f *folder) admitLines(t *Ticket, r Record, e ExecuteTCCommands) ([]byte, Outcome) {
	accepted, refused := f.tree.foldLines(e, r.Seq, f.allowed)
	if len(refused) > 0 && (!e.Force || len(accepted) == 0) {
		return nil, Outcome{Err: joinLineErrors(refused)}
	}
	r.Command = ExecuteTCCommands{Lines: accepted, Force: e.Force}
	f.tree.Seq = r.Seq
	t.lines = AppendLines(t.lines, nil, r.Command, RatesAsClient)
	return AppendRecord(nil, r), Outcome{Seq: r.Seq, Refused: refused}
}

// resolve writes what the configuration decides into the command, and refuses
// links that aren't managed.
func (f *folder) resolve(c Command) (Command, error) {
	switch c := c.(type) {
	case ClearPriorSettings:
		return ClearPriorSettings{Links: f.setup.Links()}, nil
	case MqSetup:
		s, err := f.o.Setup()
		if err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		f.setup = s
		return resolveMqSetup(c, s)
	case AddStructuralHTBClass:
		return c, f.allowed(c.Link)
	case AddCircuitHTBClass:
		return c, f.allowed(c.Link)
	case AddCircuitQdisc:
		return c, f.allowed(c.Link)
	}
	return c, nil
}

// allowed refuses links that aren't managed.
func (f *folder) allowed(link string) error {
	links := f.setup.Links()
	if slices.Contains(links, link) {
		return nil
	}
	return fmt.Errorf("link %q is not managed: the configuration names %s", clip(link), strings.Join(links, " and "))
}

// enqueue hands the payloads to the log. An error means that the log can't take
// them and must be opened again; the tree is then ahead of it.
func (f *folder) enqueue(t *Ticket, payloads [][]byte) error {
	p, err := f.log.Enqueue(eventlog.Tx{Key: t.sub.Key, Records: payloads})
	if err != nil {
		return err
	}
	if got, want := p.Result().First, t.outcomes[t.accepted[0]].Seq; got != want {
		panic(fmt.Sprintf("bakery: the log gave Seq %d to a record folded as %d", got, want))
	}
	t.pending = p
	return nil
}
