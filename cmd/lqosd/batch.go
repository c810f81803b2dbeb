package main

import (
	"errors"
	"fmt"
	"strings"

	"lqosd/bakery"
	"lqosd/bus"
)

// batchStep takes a request of the second generation: what belongs to the batch of the
// connection. A nil command is answered at once; a command goes to the bakery.
type batchStep func(c *conn, r bus.Request) (bakery.Command, error)

var batchSteps = map[string]batchStep{
	"BakeryStart":      (*conn).startBatch,
	"BakeryMqSetup":    (*conn).batchSetup, // within a batch alone
	"BakeryAddSite":    (*conn).addSite,
	"BakeryAddCircuit": (*conn).addCircuit,
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

func (c *conn) startBatch(bus.Request) (bakery.Command, error) {
	c.d.batches.end(c.batch)
	c.batch = c.d.batches.start()
	return nil, nil
}

func (c *conn) batchSetup(r bus.Request) (bakery.Command, error) {
	command, err := bakery.DecodeCommand(r.Name, true, r.Decode)
	if err != nil {
		return nil, c.unread(r, err)
	}
	return nil, c.d.batches.do(c.batch, func(b *bakery.Batch) error { return b.SetUp(command.(bakery.MqSetup)) })
}

func (c *conn) addSite(r bus.Request) (bakery.Command, error) {
	var s bakery.AddSite
	if err := c.decodeMember(r, &s); err != nil {
		return nil, err
	}
	return nil, c.add(bakery.Member{Site: &s})
}

func (c *conn) addCircuit(r bus.Request) (bakery.Command, error) {
	var a bakery.AddCircuit
	if err := c.decodeMember(r, &a); err != nil {
		return nil, err
	}
	return nil, c.add(bakery.Member{Circuit: &a})
}

func (c *conn) add(m bakery.Member) error {
	return c.d.batches.do(c.batch, func(b *bakery.Batch) error { return b.Add(m) })
}

func (c *conn) decodeMember(r bus.Request, v any) error {
	if c.batch == nil {
		return errNoBatch
	}
	if err := r.Decode(v); err != nil {
		return c.unread(r, err)
	}
	return nil
}

// commitBatch ends the batch. Without one the bakery still has to look whether the session's key
// makes it a repetition.
func (c *conn) commitBatch(bus.Request) (bakery.Command, error) {
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
