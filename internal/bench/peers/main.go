// Command peers appends records to the logs that others wrote, for internal/bench: hashicorp's raft-wal and etcd's WAL. It has a module
// of its own, so that what these two need is nothing that lqosd needs.
//
//	peers raft-wal|etcd DIR RECORDS COMMITS
//
// RECORDS is a file: each record is its length, four bytes, little-endian, and that many bytes. All of them are appended at once, durably,
// COMMITS times, after one that isn't counted. It prints the nanoseconds of all that counts.
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/hashicorp/raft"
	raftwal "github.com/hashicorp/raft-wal"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "peers: %v\n", err)
		os.Exit(1)
	}
}

// appender appends records, the first of which has that index, and returns when they are durable.
type appender func(first uint64, records [][]byte) error

func run(args []string) error {
	if len(args) != 4 {
		return errors.New("usage: peers raft-wal|etcd DIR RECORDS COMMITS")
	}
	records, err := readRecords(args[2])
	if err != nil {
		return err
	}
	commits, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	open := map[string]func(string) (appender, error){"raft-wal": openRaftWAL, "etcd": openEtcd}[args[0]]
	if open == nil {
		return fmt.Errorf("no peer %q", args[0])
	}
	add, err := open(args[1])
	if err != nil {
		return err
	}
	next := uint64(1)
	var began time.Time
	for i := range commits + 1 {
		if i == 1 {
			began = time.Now()
		}
		if err := add(next, records); err != nil {
			return err
		}
		next += uint64(len(records))
	}
	fmt.Println(time.Since(began).Nanoseconds())
	return nil
}

func readRecords(name string) (records [][]byte, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for len(data) > 0 {
		if len(data) < 4 || len(data)-4 < int(binary.LittleEndian.Uint32(data)) {
			return nil, fmt.Errorf("%s ends within a record", name)
		}
		n := int(binary.LittleEndian.Uint32(data))
		records, data = append(records, data[4:4+n]), data[4+n:]
	}
	return records, nil
}

func openRaftWAL(dir string) (appender, error) {
	w, err := raftwal.Open(dir)
	if err != nil {
		return nil, err
	}
	return func(first uint64, records [][]byte) error {
		logs := make([]*raft.Log, len(records))
		for i, r := range records {
			logs[i] = &raft.Log{Index: first + uint64(i), Term: 1, Data: r}
		}
		return w.StoreLogs(logs)
	}, nil
}

func openEtcd(dir string) (appender, error) {
	w, err := wal.Create(zap.NewNop(), filepath.Join(dir, "wal"), nil)
	if err != nil {
		return nil, err
	}
	return func(first uint64, records [][]byte) error {
		entries := make([]*raftpb.Entry, len(records))
		for i, r := range records {
			entries[i] = &raftpb.Entry{Index: new(first + uint64(i)), Term: new(uint64(1)), Data: r}
		}
		return w.Save(&raftpb.HardState{Term: new(uint64(1)), Commit: new(first - 1)}, entries)
	}, nil
}
