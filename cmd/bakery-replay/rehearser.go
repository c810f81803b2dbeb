package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/internal/cli"
	"lqosd/replay/plan"
)

// requests are the commands of a file: requests of the bus, or tc lines.
type requests struct {
	list  []numbered
	lines []numberedLine // nil: it is a file of requests
}

// numbered is a request and its line.
type numbered struct {
	number int
	bus.Request
}

type numberedLine struct {
	number int
	text   string
}

// commits reports whether there is a batch.
func (r requests) commits() bool {
	return slices.ContainsFunc(r.list, func(n numbered) bool { return n.Name == "BakeryCommit" })
}

func readRequests(cmd *cobra.Command, name string) (requests, error) {
	r, err := cli.Interruptible(cmd.Context(), func() (requests, error) {
		if name == "-" {
			return parseRequests(cmd.InOrStdin())
		}
		in, err := os.Open(name)
		if err != nil {
			return requests{}, err
		}
		r, err := parseRequests(in)
		return r, errors.Join(err, in.Close())
	})
	if err != nil {
		return requests{}, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// parseRequests reads all lines. The first tells what they are.
func parseRequests(in io.Reader) (requests, error) {
	var all requests
	r := bufio.NewReader(in)
	for n := 1; ; n++ {
		raw, err := r.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return requests{}, err
		}
		if text := bytes.TrimSpace(raw); len(text) > 0 && (text[0] != '#' || all.list != nil) {
			if err := all.add(n, text); err != nil {
				return requests{}, fmt.Errorf("line %d: %w", n, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return all, nil
		}
	}
}

func (r *requests) add(n int, text []byte) error {
	if r.lines != nil || r.list == nil && text[0] != '{' && text[0] != '"' {
		line, _, _ := strings.Cut(string(text), "#")
		if line = strings.TrimSpace(line); line != "" {
			r.lines = append(r.lines, numberedLine{n, line})
		}
		return nil
	}
	if _, err := bus.ParseCall(text); err != nil {
		return err
	}
	var request bus.Request
	err := request.UnmarshalJSON(text)
	r.list = append(r.list, numbered{n, request})
	return err
}

// rehearser does with requests what a connection of the daemon does, and with their commands what its
// bakery does.
type rehearser struct {
	rehearsal *bakery.Rehearsal
	opaque    bool
	batch     *bakery.Batch // between BakeryStart and BakeryCommit
	begun     int           // its line
	commands  int
	refused   []plan.RefusedCommand
}

func (r *rehearser) all(list requests) {
	if list.lines != nil {
		r.takeLines(list.lines)
		return
	}
	for _, n := range list.list {
		if changesNothing[n.Name] {
			continue
		}
		r.commands++
		command, err := r.take(n)
		if err != nil {
			r.refuse(n, err)
		}
		if command != nil {
			r.submit(n, command)
		}
	}
	if r.batch != nil {
		r.refused = append(r.refused, plan.RefusedCommand{Line: r.begun, Request: "BakeryStart",
			Why: "the batch that begins here has no BakeryCommit: nothing of it is taken"})
	}
}

// changesNothing are the requests that ask, or tell, something.
var changesNothing = map[string]bool{"Ping": true, "ClearHotCache": true, "ListIpFlow": true, "GetBakeryStats": true, "LqosdStatus": true,
	"LqosdTraffic": true, "LqosdWait": true, "LqosdRecord": true, "LqosdCopy": true, "LqosdCopyRead": true, "BakeryReportPreflight": true}

func (r *rehearser) refuse(n numbered, err error) {
	r.refused = append(r.refused, plan.RefusedCommand{Line: n.number, Request: n.Name, Why: err.Error()})
}

var errNoBatch = errors.New("there is no batch on this connection: BakeryStart comes first")

// take gives the command that a request asks for, nil where a batch takes it.
func (r *rehearser) take(n numbered) (bakery.Command, error) {
	switch n.Name {
	case "BakeryStart":
		r.batch, r.begun = bakery.NewBatch(), n.number
		return nil, nil
	case "BakeryAddSite":
		s := new(bakery.AddSite)
		return nil, r.addMember(n, s, bakery.Member{Site: s})
	case "BakeryAddCircuit":
		c := new(bakery.AddCircuit)
		return nil, r.addMember(n, c, bakery.Member{Circuit: c})
	case "BakeryCommit":
		if r.batch == nil {
			return nil, errNoBatch
		}
		c := r.batch.Commit()
		r.batch = nil
		return c, nil
	}
	c, err := bakery.DecodeCommand(n.Name, n.HasBody(), n.Decode)
	if err != nil {
		return nil, r.unread(n, err)
	}
	if m, ok := c.(bakery.MqSetup); ok && r.batch != nil && n.HasBody() {
		return nil, r.batch.SetUp(m)
	}
	return c, nil
}

func (r *rehearser) addMember(n numbered, fill any, m bakery.Member) error {
	if r.batch == nil {
		return errNoBatch
	}
	if err := n.Decode(fill); err != nil {
		return r.unread(n, err)
	}
	return r.batch.Add(m)
}

// unread refuses the batch for a request that was meant for it and can't be read.
func (r *rehearser) unread(n numbered, err error) error {
	if r.batch != nil && strings.HasPrefix(n.Name, "Bakery") {
		r.batch.Refuse(fmt.Errorf("%s: %w", n.Name, err))
	}
	return err
}

func (r *rehearser) submit(n numbered, c bakery.Command) {
	out := r.rehearsal.Submit(bakery.Submission{Commands: []bakery.Command{c}, Opaque: r.opaque})[0]
	if out.Err != nil {
		r.refuse(n, out.Err)
	}
	for _, l := range out.Refused {
		r.refuse(n, l)
	}
}

// takeLines takes tc lines as one command. What is refused is told with the line of the file.
func (r *rehearser) takeLines(lines []numberedLine) {
	e := bakery.ExecuteTCCommands{Force: true}
	for _, l := range lines {
		e.Lines = append(e.Lines, l.text)
	}
	r.commands = len(lines)
	out := r.rehearsal.Submit(bakery.Submission{Commands: []bakery.Command{e}, Opaque: r.opaque})[0]
	refused := out.Refused
	if out.Err != nil { // not one is good
		var several interface{ Unwrap() []error }
		errors.As(out.Err, &several)
		for _, err := range several.Unwrap() {
			var l bakery.LineError
			if errors.As(err, &l) {
				refused = append(refused, l)
			}
		}
	}
	for _, l := range refused {
		at := lines[l.Line-1]
		r.refused = append(r.refused, plan.RefusedCommand{Line: at.number, Request: at.text, Why: l.Why})
	}
}
