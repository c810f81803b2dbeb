package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/cli"
	"lqosd/internal/lqosconf"
	"lqosd/replay"
)

// replayRows compare what reads a long log with reading a file.
var replayRows = []row{
	{
		key: "replay", pairs: 7, goal: goal{atLeast: 0.5}, sizes: []int{10_000, 100_000, 1_000_000},
		what: "replay of 1,000,000 records: read, check, decode, fold", against: "a scan of a file: read, CRC-32C, decode",
		prepare: prepareReplay,
	},
	{
		key: "start", pairs: 7, goal: goal{atLeast: 20}, sizes: []int{10_000, 100_000, 1_000_000},
		what: "lqosd from its start until it answers, 1,000,000 records in its log", against: "replay of all of them",
		prepare: func(ctx context.Context, s *stand) (pair, error) { return prepareStart(ctx, s, (*daemon).end) },
	},
	{
		key: "start_killed", pairs: 7, sizes: []int{10_000, 100_000, 1_000_000},
		what: "the same after kill -9", against: "replay of all of them",
		prepare: func(ctx context.Context, s *stand) (pair, error) { return prepareStart(ctx, s, (*daemon).kill) },
	},
}

// longLog is a log that a daemon, which was killed, made of the recorded network sent again and again.
func (s *stand) longLog(ctx context.Context) (dir string, err error) {
	records := s.size(1_000_000, 20_000)
	if dir, made := s.logs[records]; made {
		return dir, nil
	}
	calls, err := s.trace()
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(s.dir, "log-"); err != nil { // for other rows, too
		return "", err
	}
	if err := s.configure(dir, lqosconf.ModeFile); err != nil {
		return "", err
	}
	d, err := s.startIn(ctx, dir)
	if err != nil {
		return "", err
	}
	c, err := d.dial(ctx)
	if err != nil {
		return "", err
	}
	for left := records; left > 0; left -= len(calls) {
		if err := do(ctx, c, calls[:min(left, len(calls))], 1024); err != nil {
			return "", err
		}
	}
	s.logs[records] = dir
	return dir, errors.Join(c.Close(), d.kill())
}

// stopped is a folder with the long log, of which a daemon has been stopped in a way.
func (s *stand) stopped(ctx context.Context, stop func(*daemon) error) (dir string, err error) {
	long, err := s.longLog(ctx)
	if err != nil {
		return "", err
	}
	if dir, err = s.folder(); err != nil {
		return "", err
	}
	if err := s.configure(dir, lqosconf.ModeFile); err != nil {
		return "", err
	}
	if err := os.CopyFS(eventlogOf(dir), os.DirFS(eventlogOf(long))); err != nil {
		return "", err
	}
	d, err := s.startIn(ctx, dir)
	if err != nil {
		return "", err
	}
	return dir, stop(d)
}

func eventlogOf(dir string) string { return filepath.Join(dir, "state", "eventlog") }

// replayAll folds each record of a log, without a snapshot.
func replayAll(ctx context.Context, log string) (sample, error) {
	began := time.Now()
	src, err := replay.Open(log)
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = src.Close() }()
	t := bakery.NewTree()
	if err := src.Fold(ctx, t, src.Last()); err != nil {
		return sample{}, err
	}
	return sample{took: time.Since(began), units: int(t.Seq), unit: "record"}, nil
}

// collectLess sets the collector as bakery-replay does, for what is measured in this process.
func (s *stand) collectLess() {
	undo := cli.CollectLess()
	s.later(func() error { undo(); return nil })
}

func prepareReplay(ctx context.Context, s *stand) (pair, error) {
	dir, err := s.longLog(ctx)
	if err != nil {
		return nil, err
	}
	file, err := s.flatFile(dir)
	if err != nil {
		return nil, err
	}
	s.collectLess()
	return func(ctx context.Context) (ours, other sample, err error) {
		runtime.GC()
		if ours, err = replayAll(ctx, eventlogOf(dir)); err != nil {
			return ours, other, err
		}
		runtime.GC()
		other, err = scan(file)
		if err == nil && other.units != ours.units {
			err = fmt.Errorf("the file has %d records, the log %d", other.units, ours.units)
		}
		return ours, other, err
	}, nil
}

// flatFile has the records of a log, each with its length and CRC in front.
func (s *stand) flatFile(dir string) (name string, err error) {
	folder, err := s.folder()
	if err != nil {
		return "", err
	}
	src, err := eventlog.OpenReader(eventlogOf(dir))
	if err != nil {
		return "", err
	}
	defer func() { _ = src.Close() }()
	f, err := os.Create(filepath.Join(folder, "records"))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	var head [8]byte
	for r, err := range src.Records(0) {
		if err != nil {
			return "", err
		}
		binary.LittleEndian.PutUint32(head[:], uint32(len(r.Data)))
		binary.LittleEndian.PutUint32(head[4:], crc32.Checksum(r.Data, castagnoli))
		if _, err := w.Write(append(head[:], r.Data...)); err != nil {
			return "", err
		}
	}
	return f.Name(), w.Flush()
}

// scan reads such a file, as plainly as one can, and decodes the records.
func scan(name string) (sample, error) {
	began := time.Now()
	f, err := os.Open(name)
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 1<<20)
	var head [8]byte
	var data []byte
	for n := 0; ; n++ {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.EOF) {
				return sample{took: time.Since(began), units: n, unit: "record"}, nil
			}
			return sample{}, err
		}
		size := int(binary.LittleEndian.Uint32(head[:]))
		if cap(data) < size {
			data = make([]byte, size)
		}
		data = data[:size]
		if _, err := io.ReadFull(r, data); err != nil {
			return sample{}, err
		}
		if crc32.Checksum(data, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return sample{}, fmt.Errorf("record %d is damaged", n+1)
		}
		if _, err := bakery.DecodeRecord(eventlog.Seq(n+1), data); err != nil {
			return sample{}, err
		}
	}
}

func prepareStart(ctx context.Context, s *stand, stop func(*daemon) error) (pair, error) {
	dir, err := s.stopped(ctx, stop)
	if err != nil {
		return nil, err
	}
	s.collectLess()
	return func(ctx context.Context) (ours, other sample, err error) {
		began := time.Now()
		d, err := s.startIn(ctx, dir)
		if err != nil {
			return ours, other, err
		}
		c, err := d.dial(ctx)
		if err != nil {
			return ours, other, err
		}
		var status struct {
			Last   eventlog.Seq `json:"last_seq"`
			Bakery string       `json:"bakery"`
		}
		if err := c.Ask(ctx, bus.Call{Name: "LqosdStatus"}, &status); err != nil {
			return ours, other, err
		}
		ours = sample{took: time.Since(began)}
		if err := errors.Join(c.Close(), stop(d)); err != nil {
			return ours, other, err
		}
		other, err = replayAll(ctx, eventlogOf(dir))
		if err == nil && (status.Last != eventlog.Seq(other.units) || status.Bakery != "running") {
			err = fmt.Errorf("lqosd answered at record %d of %d, its bakery %s", status.Last, other.units, status.Bakery)
		}
		return ours, sample{took: other.took}, err
	}, nil
}
