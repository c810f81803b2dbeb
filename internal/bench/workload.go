package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/internal/golden"
)

// trace is what a client sends for the recorded network of 1,000 circuits, all of it: 4,347 requests.
func (s *stand) trace() ([]bus.Call, error) {
	requests, err := golden.Case{Name: "n1000", Dir: filepath.Join(s.data, "n1000")}.Trace("trace.jsonl")
	if err != nil {
		return nil, err
	}
	calls := make([]bus.Call, len(requests))
	for i, r := range requests {
		if calls[i], err = typed(r); err != nil {
			return nil, err
		}
	}
	return calls, nil
}

// typed is a request as a program has it: its arguments as a struct, not as the JSON of the recording.
func typed(r golden.Request) (bus.Call, error) {
	if r.Args == nil {
		return bus.Call{Name: r.Name}, nil
	}
	request, err := bus.NewRequest(r.Name, r.Args)
	if err != nil {
		return bus.Call{}, err
	}
	command, err := bakery.DecodeCommand(r.Name, true, request.Decode)
	return bus.Call{Name: r.Name, Args: command}, err
}

// commands are n commands as the log gets them: the class and the leaf of one circuit after the other.
func commands(n int) []bakery.Record {
	list := make([]bakery.Record, n)
	for i := range list {
		circuit := i / 2
		q, minor, name := circuit%16+1, circuit/16+4, fmt.Sprintf("circuit %d", circuit)
		list[i].Time, list[i].Sender = time.Unix(1_700_000_000, int64(i)), bakery.Sender{PID: 4711}
		parent, class := fmt.Sprintf("0x%x:0x3", q), fmt.Sprintf("0x%x", minor)
		if i%2 == 0 {
			list[i].Command = bakery.AddCircuitHTBClass{Link: "eth1", Parent: parent, ClassID: class, RateMbps: 1, CeilMbps: 100,
				CircuitHash: int64(circuit) * 7_919_004_711, Comment: &name, R2Q: 10}
		} else {
			list[i].Command = bakery.AddCircuitQdisc{Link: "eth1", ParentMajor: uint32(q), ParentMinor: uint32(minor), CircuitHash: int64(circuit) * 7_919_004_711,
				SQM: []string{"cake", "diffserv4"}}
		}
	}
	return list
}

// encode is the records as the log holds them.
func encode(list []bakery.Record) [][]byte {
	out := make([][]byte, len(list))
	for i, r := range list {
		out[i] = bakery.AppendRecord(nil, r)
	}
	return out
}

// recordsFile writes records into a file, as the peers read them.
func (s *stand) recordsFile(records [][]byte) (string, error) {
	dir, err := s.folder()
	if err != nil {
		return "", err
	}
	var all []byte
	for _, r := range records {
		all = append(binary.LittleEndian.AppendUint32(all, uint32(len(r))), r...)
	}
	name := filepath.Join(dir, "records")
	return name, os.WriteFile(name, all, 0o600)
}
