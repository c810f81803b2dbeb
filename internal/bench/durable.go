package main

import (
	"context"
	"encoding/binary"
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
		key: "append_1", pairs: 15, goal: goal{atMost: 3}, sizes: []int{100, 1_000, 10_000},
		what: "durable append, one command after the other", against: "write + fdatasync to a file with room",
		prepare: func(_ context.Context, s *stand) (pair, error) {
			return appends{perCommit: 1, commits: s.size(500, 50), other: roomyFile}.prepare(s)
		},
	},
	{
		key: "append_1000_file", pairs: 15, goal: goal{atLeast: 0.5}, sizes: []int{10, 100, 1_000},
		what: "durable append, sessions of 1,000", against: "a growing file: encode, CRC-32C, fdatasync",
		prepare: func(_ context.Context, s *stand) (pair, error) {
			return appends{perCommit: 1000, commits: s.size(100, 10), other: growingFile}.prepare(s)
		},
	},
	{
		key: "append_1000_raftwal", pairs: 9, goal: goal{atLeast: 2},
		what: "durable append, sessions of 1,000", against: "hashicorp/raft-wal",
		prepare: func(_ context.Context, s *stand) (pair, error) {
			return appends{perCommit: 1000, commits: s.size(100, 10), peer: "raft-wal"}.prepare(s)
		},
	},
	{
		key: "append_1000_etcd", pairs: 9, goal: goal{atLeast: 2},
		what: "durable append, sessions of 1,000", against: "etcd's WAL",
		prepare: func(_ context.Context, s *stand) (pair, error) {
			return appends{perCommit: 1000, commits: s.size(100, 10), peer: "etcd"}.prepare(s)
		},
	},
}

// appends is how much is appended, and to what. Each measurement has files of its own; the first commit to each isn't counted.
type appends struct {
	perCommit, commits int
	other              func(dir string, total int) (add func([]bakery.Record) error, done func() error, err error)
	peer               string // instead of other: that of the program peers
}

func (a appends) prepare(s *stand) (pair, error) {
	list := commands(a.perCommit)
	var file string
	if a.peer != "" {
		var err error
		if file, err = s.recordsFile(encode(list)); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) (ours, other sample, err error) {
		if ours, err = a.measure(s, list, eventLog); err != nil {
			return ours, other, err
		}
		if a.peer == "" {
			other, err = a.measure(s, list, a.other)
		} else {
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
	return a.sample(time.Since(began)), done()
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

// eventLog encodes and appends to a log of ours.
func eventLog(dir string, _ int) (func([]bakery.Record) error, func() error, error) {
	l, err := eventlog.Open(dir, eventlog.Options{})
	if err != nil {
		return nil, nil, err
	}
	return func(list []bakery.Record) error {
		if l.NeedsRoll() {
			if _, err := l.Roll(eventlog.Snapshot{}); err != nil {
				return err
			}
		}
		_, err := l.Append(context.Background(), eventlog.Tx{Records: encode(list)})
		return err
	}, l.Close, nil
}

// roomyFile encodes and writes to a file whose blocks are there and full of zeros.
func roomyFile(dir string, commits int) (func([]bakery.Record) error, func() error, error) {
	f, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		return nil, nil, err
	}
	if _, err := f.Write(make([]byte, 1<<20+512*commits)); err != nil {
		return nil, nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, nil, err
	}
	if _, err := f.Seek(0, 0); err != nil {
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
