package bakery

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// admit resolves and folds the commands of a ticket, one after the other, and
// gives the payloads of those that could be folded. The tree is then ahead of the
// log by those records.
func (f *folder) admit(t *Ticket) [][]byte {
	undo, setup := (*Tree)(nil), f.setup
	if t.sub.Key != "" {
		undo = f.tree.Clone()
	}
	payloads := t.one.payload[:0]
	if n := len(t.sub.Commands); n > 1 {
		payloads = make([][]byte, 0, n)
	} else {
		t.accepted = t.one.accepted[:0]
	}
	refused := false
	var adopted []func()
	for i, c := range t.sub.Commands {
		command, out := f.admitOne(t.sub, c, &payloads)
		t.outcomes[i] = out
		if out.Err == nil {
			t.accepted = append(t.accepted, accepted{i, command})
		}
		refused = refused || out.Err != nil
		if f.adopted != nil && out.Err == nil {
			adopted = append(adopted, f.adopted)
		}
	}
	if undo != nil && refused {
		f.tree, f.setup = undo, setup
		t.accepted = nil
		t.failAll(errOtherRefused)
		return nil
	}
	for _, tell := range adopted {
		tell()
	}
	return payloads
}

// admitOne folds one command and appends its payload, or gives an Outcome with an
// error. The command comes back as it is logged.
func (f *folder) admitOne(by Submission, asked Command, payloads *[][]byte) (Command, Outcome) {
	r := Record{Seq: f.tree.Seq + 1, Time: f.o.Now(), Sender: by.Sender}
	f.adopted = nil
	var refused []LineError
	var err error
	if e, ok := asked.(ExecuteTCCommands); ok {
		r.Command, refused, err = f.admitExecute(e, r.Seq, by.Opaque)
	} else {
		r.Command, err = f.resolve(asked)
		if err == nil {
			err = f.tree.fold(prepared{seq: r.Seq, meaning: &meaning{command: r.Command}})
		}
	}
	if err != nil {
		return nil, Outcome{Err: err}
	}
	f.tree.folded(r.Seq, r.Command)
	switch m := r.Command.(type) {
	case MqSetup:
		f.setup.take(m)
	case Commit:
		f.setup.take(m.Setup)
		m.Items = nil // as it is read from the log
		r.Command = m
	}
	*payloads = append(*payloads, f.encode(r))
	return r.Command, Outcome{Seq: r.Seq, Refused: refused}
}

// maxScratch is how much room for a record is kept.
const maxScratch = 64 << 10

// encode gives a record's payload, in memory of its size.
func (f *folder) encode(r Record) []byte {
	f.scratch = AppendRecord(f.scratch[:0], r)
	if cap(f.scratch) <= maxScratch {
		return bytes.Clone(f.scratch)
	}
	payload := f.scratch
	f.scratch = nil
	return payload
}

// errOpaque refuses an opaque line of a sender that may have none.
var errOpaque = errors.New("it isn't modelled, and bakery.opaque_lines doesn't let this sender have tc(8) run it word for word")

func (f *folder) admitExecute(e ExecuteTCCommands, seq eventlog.Seq, opaque bool) (Command, []LineError, error) {
	resolved, refused := f.tree.admitLines(e, seq, func(l tcLine) error {
		switch {
		case l.opaque && !opaque:
			return errOpaque
		case l.link == "":
			return nil
		}
		return f.allowed(l.link)
	})
	if len(refused) > 0 && len(resolved.Lines) == 0 {
		return nil, nil, joinLineErrors(refused)
	}
	return resolved, refused, nil
}

// resolve writes what the configuration and the tree decide into the command, and
// refuses links that aren't managed, and mappings that can't be meant.
func (f *folder) resolve(asked Command) (Command, error) {
	switch c := asked.(type) {
	case ClearPriorSettings:
		return ClearPriorSettings{Links: f.rooted()}, nil
	case MqSetup:
		s, err := f.o.Setup()
		if err != nil {
			return nil, err
		}
		f.adopted = s.Adopted
		return resolveMqSetup(c, s)
	case Commit:
		return f.resolveCommit(c)
	case ChangeSiteSpeedLive:
		return f.tree.resolveSpeed(c, f.setup)
	case refusedCommit:
		return nil, f.refusal(c)
	case refusedCommand:
		return nil, c.why
	case AddStructuralHTBClass:
		return asked, f.allowed(c.Link)
	case AddCircuitHTBClass:
		return asked, f.allowed(c.Link)
	case AddCircuitQdisc:
		return asked, f.allowed(c.Link)
	case MapIPToFlow:
		return asked, f.tree.checkClaim(c, f.setup.Roles())
	}
	return asked, nil
}

// resolveCommit gives a batch its skeleton: the queues are those that it states, or else those
// of the skeleton that is there.
func (f *folder) resolveCommit(c Commit) (Command, error) {
	s, err := f.o.Setup()
	if err != nil {
		return nil, err
	}
	asked := c.Setup
	if m := f.tree.Setup; asked.QueuesAvailable == nil && m != nil {
		asked.QueuesAvailable, asked.StickOffset = m.QueuesAvailable, m.StickOffset
	}
	f.adopted = s.Adopted
	c.Leaf = s.Leaf
	c.Setup, err = resolveMqSetup(MqSetup{QueuesAvailable: asked.QueuesAvailable, StickOffset: asked.StickOffset}, s)
	return c, err
}

// refusal names everything that is wrong with a batch.
func (f *folder) refusal(c refusedCommit) error {
	rest, err := f.resolveCommit(c.rest)
	f.adopted = nil
	if err != nil {
		c.refused.add(err)
	} else if err := f.tree.Clone().foldCommit(rest.(Commit), f.tree.Seq+1); err != nil {
		var several interface{ Unwrap() []error }
		if !errors.As(err, &several) {
			c.refused.add(err)
		} else {
			for _, err := range several.Unwrap() {
				c.refused.add(err)
			}
		}
	}
	return fmt.Errorf("the batch is refused, %d of its %d items can't be: %w", c.refused.total, c.items, c.refused.err())
}

// managed are the links that the configuration names, or named when the tree's
// skeleton was made.
func (f *folder) managed() []string {
	links := f.setup.Links()
	if m := f.tree.Setup; m != nil {
		for _, link := range []string{m.Down.Link, m.Up.Link} {
			if !slices.Contains(links, link) {
				links = append(links, link)
			}
		}
	}
	return links
}

// rooted are the managed links that have an mq root.
func (f *folder) rooted() []string {
	return slices.DeleteFunc(f.managed(), func(link string) bool {
		q, ok := f.tree.state.Qdisc(link, tc.Root)
		return !ok || q.Options.Kind() != "mq"
	})
}

// allowed refuses links that aren't managed.
func (f *folder) allowed(link string) error {
	m := f.tree.Setup
	if link == f.setup.DownLink || link == f.setup.UpLink || m != nil && (link == m.Down.Link || link == m.Up.Link) {
		return nil
	}
	return fmt.Errorf("link %q is not managed: the configuration names %s", clip(link), strings.Join(f.managed(), " and "))
}

// enqueue hands the payloads to the log. An error means that the log can't take
// them and must be opened again; the tree is then ahead of it.
func (f *folder) enqueue(t *Ticket, payloads [][]byte) error {
	p, err := f.log.Enqueue(eventlog.Tx{Key: t.sub.Key, Records: payloads})
	if err != nil {
		return err
	}
	if got, want := p.Result().First, t.outcomes[t.accepted[0].index].Seq; got != want {
		panic(fmt.Sprintf("bakery: the log gave Seq %d to a record folded as %d", got, want))
	}
	t.pending = p
	return nil
}
