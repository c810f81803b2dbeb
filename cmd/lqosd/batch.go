package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lqosd/bakery"
	"lqosd/bus"
)

// batchStep takes a request of the second generation: what belongs to the batch of the
// connection. A nil command is answered at once; a command goes to the bakery. early is what the request was found to say before; nil: nobody
// looked.
type batchStep func(c *conn, r bus.Request, early *memberRequest) (bakery.Command, error)

var batchSteps = map[string]batchStep{
	"BakeryStart":      (*conn).startBatch,
	"BakeryMqSetup":    (*conn).batchSetup, // within a batch alone
	"BakeryAddSite":    (*conn).addMember,
	"BakeryAddCircuit": (*conn).addMember,
	"BakeryCommit":     (*conn).commitBatch,
}

var errNoBatch = errors.New("there is no batch on this connection: BakeryStart comes first")

// stepOf is the step that a request is, nil if it is none.
func (c *conn) stepOf(r bus.Request) batchStep {
	if r.Name == "BakeryMqSetup" && (c.batch == nil || !r.HasBody()) {
		return nil
	}
	return batchSteps[r.Name]
}

func (c *conn) startBatch(bus.Request, *memberRequest) (bakery.Command, error) {
	c.d.batches.end(c.batch)
	c.batch = c.d.batches.start()
	return nil, nil
}

func (c *conn) batchSetup(r bus.Request, _ *memberRequest) (bakery.Command, error) {
	command, err := bakery.DecodeCommand(r.Name, true, r.Decode)
	if err != nil {
		return nil, c.unread(r, err)
	}
	return nil, c.d.batches.do(c.batch, func(b *bakery.Batch) error { return b.SetUp(command.(bakery.MqSetup)) })
}

func (c *conn) addMember(r bus.Request, early *memberRequest) (bakery.Command, error) {
	if c.batch == nil {
		return nil, errNoBatch
	}
	if early == nil {
		early = decodeMember(r)
	}
	if early.err != nil {
		return nil, c.unread(r, early.err)
	}
	return nil, c.d.batches.do(c.batch, func(b *bakery.Batch) error { return b.AddChecked(early.member) })
}

// memberRequest is what a request for a site or a circuit says.
type memberRequest struct {
	member bakery.CheckedMember
	err    error // it can't be read
}

func isMember(r bus.Request) bool { return r.Name == "BakeryAddSite" || r.Name == "BakeryAddCircuit" }

func decodeMember(r bus.Request) *memberRequest {
	var m bakery.Member
	var err error
	if r.Name == "BakeryAddSite" {
		m.Site = new(bakery.AddSite)
		err = r.Decode(m.Site)
	} else {
		m.Circuit = new(bakery.AddCircuit)
		err = r.Decode(m.Circuit)
	}
	if err != nil {
		return &memberRequest{err: err}
	}
	return &memberRequest{member: bakery.CheckMember(m)}
}

// Prepare implements bus.Preparer: members are decoded and checked before it is their turn. It gives a memberRequest for each request, nil
// for those that are none; short requests of other kinds take next to nothing.
func (c *conn) Prepare(s bus.Session) any {
	if c.right < mayCommand || !slices.ContainsFunc(s.Requests, isMember) {
		return nil
	}
	early := make([]*memberRequest, len(s.Requests))
	for i, r := range s.Requests {
		if isMember(r) {
			early[i] = decodeMember(r)
		}
	}
	return early
}

// commitBatch ends the batch. Without one the bakery still has to look whether the session's key
// makes it a repetition.
func (c *conn) commitBatch(bus.Request, *memberRequest) (bakery.Command, error) {
	b := c.batch
	if c.batch = nil; b == nil {
		return bakery.Refused(errNoBatch), nil
	}
	// The second of sessions that came together can't wait for the first, which comes with it. What it holds came in one read.
	command, done := c.d.batches.commit(b, len(c.commits) > 0)
	c.commits = append(c.commits, done)
	return command, nil
}

// refuseBatch refuses the batch for what the caller could not read.
func (c *conn) refuseBatch(why error) {
	_ = c.d.batches.do(c.batch, func(b *bakery.Batch) error { b.Refuse(why); return nil })
}

// unread refuses the batch for a request that was meant for it and can't be read: what it
// would have stated would be removed.
func (c *conn) unread(r bus.Request, err error) error {
	if c.batch != nil && (r.Name == "" || strings.HasPrefix(r.Name, "Bakery")) {
		c.refuseBatch(fmt.Errorf("%s: %w", orUnnamed(r.Name), err))
	}
	return err
}

func orUnnamed(name string) string {
	if name == "" {
		return "a request"
	}
	return name
}

// BadDocument implements bus.BadDocumentHandler: nobody knows what it would have stated.
func (c *conn) BadDocument(err error) {
	if c.batch != nil {
		c.refuseBatch(fmt.Errorf("a document that can't be read: %w", err))
	}
}
