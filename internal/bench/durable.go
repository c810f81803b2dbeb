package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// appendRows compare the event log with files and with the logs of others.
var appendRows = []row{
	{
		key: "append_1", pairs: 15, goal: goal{atMost: 3}, disk: true, sizes: []int{100, 1_000, 10_000},
		what: "durable append, one command after the other", against: "write + fdatasync to a file with room",
		prepare: func(_ context.Context, s *stand) (pair, error) {
			return appends{perCommit: 1, commits: s.size(500, 50), other: roomyFile}.prepare(s)
		},
	},
	{
		key: "append_1000_file", pairs: 15, goal: goal{atLeast: 0.5}, disk: true, sizes: []int{10_000, 100_000, 1_000_000},
		what: "durable append, sessions of 1,000", against: "a growing file: encode, CRC-32C, fdatasync",
		prepare: func(_ context.Context, s *stand) (pair, error) {
			return appends{perCommit: 1000, commits: s.size(100_000, 10_000) / 1000, other: growingFile}.prepare(s)
		},
	},
	{
		key: "append_1000_floor", pairs: 15, disk: true,
		what: "durable append, sessions of 1,000, encoded before", against: "the same pages written to a file with room, one fdatasync",
		prepare: func(_ context.Context, s *stand) (pair, error) {
			return appends{perCommit: 1000, commits: s.size(100, 10), encoded: true, other: pagedFile}.prepare(s)
		},
	},
	{
		key: "append_1000_raftwal", pairs: 9, goal: goal{atLeast: 2}, disk: true,
		what: "durable append, sessions of 1,000, encoded before", against: "hashicorp/raft-wal",
		prepare: func(_ context.Context, s *stand) (pair, error) {
			return appends{perCommit: 1000, commits: s.size(100, 10), peer: "raft-wal"}.prepare(s)
		},
	},
	{
		key: "append_1000_etcd", pairs: 9, goal: goal{atLeast: 2}, disk: true,
		what: "durable append, sessions of 1,000, encoded before", against: "etcd's WAL",
		prepare: func(_ context.Context, s *stand) (pair, error) {
			return appends{perCommit: 1000, commits: s.size(100, 10), peer: "etcd"}.prepare(s)
		},
	},
}

// appends is how much is appended, and to what. Each measurement has files of its own; the first commit to each isn't counted.
type appends struct {
	perCommit, commits int
	encoded            bool // before: encoding isn't measured
	other              func(dir string, total int) (add func([]bakery.Record) error, done func() error, err error)
	peer               string // instead of other: that of the program peers, encoded before
}

func (a appends) prepare(s *stand) (pair, error) {
	list := commands(a.perCommit)
	if a.peer == "" {
		open := encodingLog
		if a.encoded {
			open = encodedLog(encode(list))
		}
		return func(context.Context) (ours, other sample, err error) {
			if ours, err = a.measure(s, list, open); err == nil {
				other, err = a.measure(s, list, a.other)
			}
			return ours, other, err
		}, nil
	}
	records := encode(list)
	file, err := s.recordsFile(records)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (ours, other sample, err error) {
		if ours, err = a.measure(s, list, encodedLog(records)); err == nil {
			other, err = a.measurePeer(ctx, s, file)
		}
		return ours, other, err
	}, nil
}

func (a appends) sample(d time.Duration) sample {
	return sample{took: d, units: a.commits * a.perCommit, unit: "command"}
}

func (a appends) measure(s *stand, list []bakery.Record, open func(string, int) (func([]bakery.Record) error, func() error, error)) (sample, error) {
	dir, err := os.MkdirTemp(s.dir, "append-")
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	add, done, err := open(dir, a.commits+1)
	if err != nil {
		return sample{}, err
	}
	if err := add(list); err != nil {
		return sample{}, err
	}
	began := time.Now()
	for range a.commits {
		if err := add(list); err != nil {
			return sample{}, err
		}
	}
	took := time.Since(began)
	return a.sample(took), done()
}

func (a appends) measurePeer(ctx context.Context, s *stand, records string) (sample, error) {
	dir, err := os.MkdirTemp(s.dir, "peer-")
	if err != nil {
		return sample{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	out, err := exec.CommandContext(ctx, filepath.Join(s.bin, "bench-peers"), a.peer, dir, records, strconv.Itoa(a.commits)).Output()
	if err != nil {
		return sample{}, fmt.Errorf("bench-peers %s: %w", a.peer, err)
	}
	ns, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return a.sample(time.Duration(ns)), err
}

// eventLog opens a log of ours, and gives a function that appends one transaction, and one that closes the log and reads it again: what
// wasn't written must not count as fast.
func eventLog(dir string) (add func(records [][]byte) error, done func() error, err error) {
	l, err := eventlog.Open(dir, eventlog.Options{})
	if err != nil {
		return nil, nil, err
	}
	appended := 0
	return func(records [][]byte) error {
			appended += len(records)
			if l.NeedsRoll() {
				if _, err := l.Roll(eventlog.Snapshot{}); err != nil {
					return err
				}
			}
			_, err := l.Append(context.Background(), eventlog.Tx{Records: records})
			return err
		}, func() error {
			if err := l.Close(); err != nil {
				return err
			}
			return holds(dir, appended)
		}, nil
}

// holds says whether a log has so many records that can be read.
func holds(dir string, records int) (err error) {
	src, err := eventlog.OpenReader(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	n := 0
	for _, err := range src.Records(0) {
		if err != nil {
			return err
		}
		n++
	}
	if n != records {
		return fmt.Errorf("%d records were appended, and the log has %d", records, n)
	}
	return nil
}

// encodingLog encodes and appends, into the same memory again and again, as the files do.
func encodingLog(dir string, _ int) (func([]bakery.Record) error, func() error, error) {
	add, done, err := eventLog(dir)
	var all []byte
	var ends []int
	var records [][]byte
	return func(list []bakery.Record) error {
		all, ends, records = all[:0], ends[:0], records[:0]
		for _, r := range list {
			all = bakery.AppendRecord(all, r)
			ends = append(ends, len(all))
		}
		begin := 0
		for _, end := range ends {
			records = append(records, all[begin:end])
			begin = end
		}
		return add(records)
	}, done, err
}

// encodedLog appends what is encoded already, as the peers do.
func encodedLog(records [][]byte) func(string, int) (func([]bakery.Record) error, func() error, error) {
	return func(dir string, _ int) (func([]bakery.Record) error, func() error, error) {
		add, done, err := eventLog(dir)
		return func([]bakery.Record) error { return add(records) }, done, err
	}
}

// roomyFile encodes and writes to a file whose blocks are there and full of zeros.
func roomyFile(dir string, commits int) (func([]bakery.Record) error, func() error, error) {
	f, err := roomyFileOf(dir, 1<<20+512*commits)
	if err != nil {
		return nil, nil, err
	}
	return func(list []bakery.Record) error {
		var b []byte
		for _, r := range list {
			b = bakery.AppendRecord(b, r)
		}
		if _, err := f.Write(b); err != nil {
			return err
		}
		return unix.Fdatasync(int(f.Fd()))
	}, f.Close, nil
}

// roomyFileOf is a file of so many zeros, on the disk.
func roomyFileOf(dir string, size int) (*os.File, error) {
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		return nil, err
	}
	_, err = f.Write(make([]byte, size))
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// pagedFile writes what a commit is made of that is synced once to a file whose blocks are there: frames behind each other, three pages here and
// there, and the meta page; fdatasync.
func pagedFile(dir string, commits int) (func([]bakery.Record) error, func() error, error) {
	const page, frames, spread = 4096, 5 * 4096, 64
	f, err := roomyFileOf(dir, spread*page+frames*commits)
	if err != nil {
		return nil, nil, err
	}
	data, n := make([]byte, frames), 0
	for i := range data {
		data[i] = byte(i * i >> 8)
	}
	write := func(size, at int) (err error) {
		_, err = f.WriteAt(data[:size], int64(at))
		return err
	}
	return func([]bakery.Record) error {
		var errs []error
		for i := range 3 {
			errs = append(errs, write(page, page*(2+(7*n+20*i)%(spread-2))))
		}
		errs = append(errs, write(frames, spread*page+frames*n), write(page, n%2*page), unix.Fdatasync(int(f.Fd())))
		n++
		return errors.Join(errs...)
	}, f.Close, nil
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// growingFile encodes each record with its length and CRC, and writes all to the end of a file.
func growingFile(dir string, _ int) (func([]bakery.Record) error, func() error, error) {
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		return nil, nil, err
	}
	var b, one []byte
	return func(list []bakery.Record) error {
		b = b[:0]
		for _, r := range list {
			one = bakery.AppendRecord(one[:0], r)
			b = binary.LittleEndian.AppendUint32(b, uint32(len(one)))
			b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(one, castagnoli))
			b = append(b, one...)
		}
		if _, err := f.Write(b); err != nil {
			return err
		}
		return unix.Fdatasync(int(f.Fd()))
	}, f.Close, nil
}
