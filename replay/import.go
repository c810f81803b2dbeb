package replay

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// maxLine is how long a line may be, in bytes: a snapshot, or a command of which the log takes 64 MiB.
const maxLine = 512 << 20

// Imported is what Import made.
type Imported struct {
	Records uint64       `json:"records"`
	First   eventlog.Seq `json:"first"`
	Last    eventlog.Seq `json:"last"`
}

// ImportOptions of Import; the zero value is ready for use.
type ImportOptions struct {
	Progress     func(bytes int) // called with what was read; nil: nobody is told
	SegmentBytes int64           // of a segment, as eventlog.Options has it
}

// Import makes a log in dir of the lines that Export wrote, or somebody made. It takes only what a log can hold: records without a gap
// between them, each of which can be folded into what is there before it. What is wrong is told with its line. dir must not exist, and
// appears whole or not at all. The commits of the new log, which eventlog calls frames, are new ones: each has the time of one of its records.
func Import(ctx context.Context, in io.Reader, dir string, o ImportOptions) (Imported, error) {
	m := &importer{lines: lineReader{r: bufio.NewReaderSize(in, 1<<20), progress: o.Progress}}
	m.now.Store(time.Now().UnixNano())
	text, err := m.lines.next()
	empty := errors.Is(err, io.EOF)
	if err != nil && !empty {
		return Imported{}, m.lines.fault(err)
	}
	begin, tree, begun, err := parseBeginning(text)
	if err != nil {
		return Imported{}, m.lines.fault(err)
	}
	m.tree, m.done = tree, Imported{First: tree.Seq + 1, Last: tree.Seq}
	opts := eventlog.Options{SegmentBytes: o.SegmentBytes, Clock: func() time.Time { return time.Unix(0, m.now.Load()) }}
	err = eventlog.Make(ctx, dir, begin, opts, func(l *eventlog.Log) error {
		m.log = l
		if !begun && !empty {
			if err := m.take(text); err != nil {
				return m.lines.fault(err)
			}
		}
		return m.rest(ctx)
	})
	return m.done, err
}

// importer appends line after line.
type importer struct {
	lines lineReader
	log   *eventlog.Log
	tree  *bakery.Tree
	now   atomic.Int64 // the time of the newest record, for the committer
	done  Imported

	tx      [][]byte // the transaction that isn't at its end yet
	size    int      // of it, in bytes
	pending *eventlog.Pending
}

func (m *importer) rest(ctx context.Context) error {
	for {
		text, err := m.lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = m.take(text)
		}
		if err != nil {
			return m.lines.fault(err)
		}
	}
	if len(m.tx) > 0 {
		return m.lines.fault(errors.New("the transaction goes on, and nothing follows: the end is missing"))
	}
	if m.pending == nil {
		return nil
	}
	_, err := m.pending.Wait()
	return err
}

// take appends the record of one line.
func (m *importer) take(text []byte) error {
	line, err := bakery.ParseLine(text)
	if err != nil {
		return cmp.Or(endOf(text), err)
	}
	switch want := m.tree.Seq + 1; {
	case line.Seq == want:
	case m.done.Records == 0 && m.done.First == 1:
		return fmt.Errorf("record %d: a log that doesn't begin at record 1 needs a line before with what it begins with, as export writes it", line.Seq)
	default:
		return fmt.Errorf("record %d: want %d here: there may be no gap, and no other order", line.Seq, want)
	}
	r, payload, err := line.Record()
	switch {
	case errors.Is(err, eventlog.ErrNewerFormat):
		return fmt.Errorf("%w: import it with the version that wrote it, or a later one", err)
	case err != nil:
		return fmt.Errorf("record %d: %w", line.Seq, err)
	}
	if err := bakery.Fold(m.tree, r); err != nil {
		return err
	}
	m.now.Store(r.Time.UnixNano())
	m.tx, m.size = append(m.tx, payload), m.size+len(payload)
	if m.size > eventlog.MaxTx || len(m.tx) > eventlog.MaxTxRecords {
		return fmt.Errorf("record %d: %w: the transaction is too long", line.Seq, eventlog.ErrTooLarge)
	}
	key := line.IdempotencyKey()
	if line.More {
		if key != "" {
			return fmt.Errorf("record %d: a key belongs to the end of a transaction", line.Seq)
		}
		return nil
	}
	return m.append(key)
}

// append appends the transaction, and begins a segment where one is full.
func (m *importer) append(key string) error {
	if key != "" {
		if _, known := m.log.Known(key); known {
			return fmt.Errorf("record %d: the key %q was there before: a log has each once", m.tree.Seq, key)
		}
	}
	p, err := m.log.Enqueue(eventlog.Tx{Key: key, Records: m.tx})
	if err != nil {
		return err
	}
	m.done.Records += uint64(len(m.tx))
	m.done.Last = m.tree.Seq
	m.tx, m.size, m.pending = nil, 0, p
	if !m.log.NeedsRoll() {
		return nil
	}
	snapshot := m.tree.AppendSnapshot(nil)
	if p, err = m.log.Roll(eventlog.Snapshot{Mark: m.tree.Generation, Write: func(w io.Writer) error {
		_, err := w.Write(snapshot)
		return err
	}}); err == nil {
		_, err = p.Wait()
	}
	return err
}

// lineReader reads lines, of which it knows the number.
type lineReader struct {
	r        *bufio.Reader
	progress func(bytes int)
	number   int
	long     []byte
}

// next is the next line without its end, valid until the next call; io.EOF at the end.
func (l *lineReader) next() ([]byte, error) {
	l.long = l.long[:0]
	l.number++
	for {
		part, err := l.r.ReadSlice('\n')
		if l.progress != nil {
			l.progress(len(part))
		}
		if len(l.long)+len(part) > maxLine {
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case err == nil, errors.Is(err, io.EOF) && len(l.long)+len(part) > 0:
			if len(l.long) == 0 {
				return part, nil
			}
			return append(l.long, part...), nil
		default:
			return nil, err
		}
		l.long = append(l.long, part...)
	}
}

// fault is what is wrong with the line that was read last.
func (l *lineReader) fault(err error) error {
	return fmt.Errorf("line %d: %w", l.number, err)
}
