package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"lqosd/internal/golden"
)

// batch sends the same network as a client of the second generation does, over the live tree: as it
// is, once more, and with one circuit's download changed.
func (s *stage) batch(c golden.Case) error {
	heading("A client of the second generation states the same network in one commit, over the live tree")
	fmt.Println("(it numbers the classes differently than the first: most of the tree is built anew, once)")
	requests, err := c.Trace("trace-head.jsonl")
	if err != nil {
		return err
	}
	if _, err := s.commit("batch.jsonl", requests); err != nil {
		return err
	}
	n, err := s.commit("batch.jsonl", requests)
	if err != nil {
		return err
	}
	if n != 0 {
		return fmt.Errorf("a commit that changes nothing made %d changes", n)
	}
	if requests, err = slower(requests); err != nil {
		return err
	}
	if n, err = s.commit("slower.jsonl", requests); err != nil {
		return err
	}
	if n != 1 {
		return fmt.Errorf("one changed rate made %d changes", n)
	}
	return s.inSync()
}

// commit sends requests, and counts what the kernel is told.
func (s *stage) commit(file string, requests []golden.Request) (changed int, err error) {
	changes, stop, err := monitor()
	if err != nil {
		return 0, err
	}
	err = s.sendLines(file, requests)
	stop()
	fmt.Printf("changes of qdiscs and classes that tc monitor saw: %d\n", changes())
	return changes(), err
}

// slower gives a circuit of 100 Mbit/s a download of 99.
func slower(requests []golden.Request) ([]golden.Request, error) {
	was, is := []byte(`"download_bandwidth_max":100.0`), []byte(`"download_bandwidth_max":99`)
	for i, r := range requests {
		if r.Name == "BakeryAddCircuit" && bytes.Contains(r.Args, was) {
			requests = slices.Clone(requests)
			requests[i].Args = bytes.Replace(r.Args, was, is, 1)
			return requests, nil
		}
	}
	return nil, errors.New("the recording has no circuit of 100 Mbit/s")
}
