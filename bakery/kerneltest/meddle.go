package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lqosd/bakery/tc"
)

// Meddle does tc lines as somebody else: with tc(8), as root. Watches are told. It ends at
// the first line that the kernel refuses, like tc -batch. Qdisc kinds that package tc
// doesn't model become tc.Foreign; other lines that it doesn't model are an error.
func (f *Fake) Meddle(lines ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, line := range lines {
		op, err := f.line(line)
		if err != nil {
			return fmt.Errorf("meddling: %s: %w", line, err)
		}
		f.notify(op.Link())
	}
	return nil
}

// OnExecute sets what Execute answers; nil, the default, means that all lines go well.
func (f *Fake) OnExecute(answer func(line string) error) {
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	f.faults.execute = answer
}

// Execute records line and answers what OnExecute says. If that is nil, and the line is a
// qdisc or a class, the kernel does it.
func (f *Fake) Execute(ctx context.Context, line string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.faults.mu.Lock()
	answer := f.faults.execute
	f.faults.mu.Unlock()
	f.mu.Lock()
	f.record.executed = append(f.record.executed, line)
	f.record.counts.Executed++
	f.mu.Unlock()
	if answer != nil {
		if err := answer(line); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.line(line); err != nil && !errors.Is(err, tc.ErrUnknown) {
		return fmt.Errorf("executing %s: %w", line, err)
	}
	return nil
}

// line does one tc line.
func (f *Fake) line(line string) (tc.Op, error) {
	op, err := tc.ParseLine(line)
	if errors.Is(err, tc.ErrUnknown) {
		if foreign, ok := parseForeign(line); ok {
			op, err = foreign, nil
		}
	}
	if err != nil {
		return op, err
	}
	_, err = f.do(op)
	return op, err
}

// parseForeign reads the line of a qdisc whose kind isn't modelled, as if that were a
// pfifo.
func parseForeign(line string) (op tc.Op, ok bool) {
	words := strings.Fields(line)
	for i := 0; i < len(words); i++ {
		switch words[i] {
		case "tc", "qdisc", "add", "replace", "change", "delete", "del", "root":
		case "dev", "parent", "handle":
			i++
		default:
			op, err := tc.ParseLine(strings.Join(append(words[:i:i], "pfifo"), " "))
			if err != nil || op.Qdisc == nil {
				return op, false
			}
			op.Qdisc.Options = tc.Foreign{Name: words[i]}
			return op, true
		}
	}
	return op, false
}
