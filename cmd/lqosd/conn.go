package main

import (
	"context"
	"errors"
	"fmt"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/eventlog"
)

// conn is one client's connection: it turns the requests of a session into one
// submission to the bakery, and answers the others itself.
type conn struct {
	d      *daemon
	peer   bus.Peer
	right  right
	copies copies
	// commits are told when the sessions being sorted are settled
	commits []func()
	batch   *openBatch // between BakeryStart and BakeryCommit; only SubmitAll and BadDocument use it
}

// Submit implements bus.Conn.
func (c *conn) Submit(ctx context.Context, s bus.Session) func() []bus.Reply {
	return c.SubmitAll(ctx, []bus.Session{s})[0]
}

// SubmitAll implements bus.GroupConn: the submissions of several sessions go to the bakery together.
func (c *conn) SubmitAll(ctx context.Context, sessions []bus.Session) []func() []bus.Reply {
	all := make([]work, len(sessions))
	waits := make([]func() []bus.Reply, len(sessions))
	for i, s := range sessions {
		b := &all[i]
		b.begin(s)
		before := len(c.commits)
		members, _ := s.Prepared.([]*memberRequest)
		for k, r := range s.Requests {
			var early *memberRequest
			if members != nil {
				early = members[k]
			}
			c.sort(b, k, r, early)
		}
		b.commits = c.commits[before:len(c.commits):len(c.commits)]
		waits[i] = func() []bus.Reply { return c.answer(ctx, b) }
	}
	c.commits = nil
	c.submit(ctx, all)
	return waits
}

// answer waits for the answers to a session.
func (c *conn) answer(ctx context.Context, b *work) []bus.Reply {
	b.settle()
	for _, done := range b.commits {
		done()
	}
	for _, q := range b.queries {
		answer := func() bus.Reply { return q.answer(ctx, c, q.request) }
		if q.acts {
			b.replies[q.index] = answer()
			continue
		}
		b.replies[q.index] = bus.Reply{Value: bus.Later(answer)}
	}
	return b.replies
}

// Close implements bus.Conn.
func (c *conn) Close() {
	c.copies.close()
	c.d.batches.end(c.batch)
}

// work is a session on its way: its commands go to the bakery together; its
// queries are answered after them.
type work struct {
	replies   []bus.Reply
	key       string
	commands  []bakery.Command
	indices   []int // of the commands' replies
	ticket    *bakery.Ticket
	submitted bool // its commands, to the bakery
	queries   []pendingQuery
	taken     []int // of the replies to what a batch took
	commits   []func()
	refused   bool // a command that never reached the bakery

	one struct { // room for what a session of one request has
		reply   [1]bus.Reply
		command [1]bakery.Command
		index   [1]int
	}
}

func (b *work) begin(s bus.Session) {
	b.key = s.Key
	if len(s.Requests) > 1 {
		b.replies = make([]bus.Reply, len(s.Requests))
		return
	}
	b.replies = b.one.reply[:len(s.Requests)]
	b.commands, b.indices = b.one.command[:0], b.one.index[:0]
}

type pendingQuery struct {
	index   int
	request bus.Request
	answer  query
	acts    bool // also when nobody reads the answer
}

// sort puts a request among the commands or the queries, or answers it with Fail.
func (c *conn) sort(b *work, i int, r bus.Request, early *memberRequest) {
	if err := r.Err(); err != nil {
		b.refuse(i, c.unread(r, err))
		return
	}
	if r.Name == "BakeryReportPreflight" {
		b.replies[i] = c.reportPreflight(r)
		return
	}
	if q, ok := queries[r.Name]; ok {
		b.queries = append(b.queries, pendingQuery{i, r, q, r.Name == "ClearHotCache"})
		return
	}
	if step := c.stepOf(r); step != nil && c.right >= mayCommand {
		command, err := step(c, r, early)
		if err != nil && b.key != "" { // refuses the session, unless the key makes it a repetition
			command = bakery.Refused(err)
		}
		if command != nil {
			b.commands, b.indices = append(b.commands, command), append(b.indices, i)
			return
		}
		b.take(i, err)
		return
	}
	command, err := bakery.DecodeCommand(r.Name, r.HasBody(), r.Decode)
	if c.right < mayCommand && (err == nil || batchSteps[r.Name] != nil) {
		err = fmt.Errorf("uid %d may only read", c.peer.UID)
	}
	if err != nil {
		b.refuse(i, c.unread(r, err))
		return
	}
	b.commands, b.indices = append(b.commands, command), append(b.indices, i)
}

// take answers what a batch took, or didn't: the commit, which decides, comes later.
func (b *work) take(i int, err error) {
	b.replies[i] = bus.Ack()
	if err != nil {
		b.replies[i] = bus.Fail(err.Error())
	}
	b.taken = append(b.taken, i)
}

func (b *work) refuse(i int, err error) {
	b.replies[i], b.refused = bus.Fail(err.Error()), true
}

func (b *work) refuseAll(why string) {
	for _, i := range b.indices {
		b.replies[i] = bus.Fail(why)
	}
	if b.key != "" { // one with its commands
		b.untake(bus.Fail(why))
	}
}

// untake answers otherwise what a batch took.
func (b *work) untake(reply bus.Reply) {
	for _, i := range b.taken {
		if b.replies[i].IsAck() {
			b.replies[i] = reply
		}
	}
}

// submit gives the bakery the commands of sessions.
func (c *conn) submit(ctx context.Context, all []work) {
	submissions := make([]bakery.Submission, 0, len(all))
	for i := range all {
		b := &all[i]
		switch {
		case len(b.commands) == 0:
		case c.d.bakery == nil:
			b.refuseAll("the bakery is not running: " + c.d.bakeryErr.Error())
		case b.key != "" && b.refused:
			b.refuseAll("not appended: another command of the same keyed session was refused")
		default:
			b.submitted = true
			submissions = append(submissions, bakery.Submission{
				Sender:   bakery.Sender{UID: c.peer.UID, GID: c.peer.GID, PID: c.peer.PID},
				Commands: b.commands, Key: b.key, Opaque: c.right.opaque(c.d.settings.Bakery.OpaqueLines)})
		}
	}
	if len(submissions) == 0 {
		return
	}
	tickets, err := c.d.bakery.SubmitAll(ctx, submissions)
	for i := range all {
		b := &all[i]
		switch {
		case !b.submitted:
		case err != nil:
			b.refuseAll(err.Error())
		default:
			b.ticket, tickets = tickets[0], tickets[1:]
		}
	}
}

// settle waits for the bakery and writes the commands' replies.
func (b *work) settle() {
	if b.ticket == nil {
		return
	}
	for k, out := range b.ticket.Wait() {
		b.replies[b.indices[k]] = replyOf(out)
		if b.key == "" {
			continue
		}
		switch { // what a batch took is one with its commands
		case errors.Is(out.Err, eventlog.ErrUnknownOutcome):
			b.untake(b.replies[b.indices[k]])
		case out.Err != nil:
			b.untake(bus.Fail("not appended: a command of the same keyed session was refused"))
		}
	}
}

// unknownOutcome is the body of LqosdUnknownOutcome.
type unknownOutcome struct {
	Seq eventlog.Seq `json:"seq"`
	Why string       `json:"why"`
}

// partial is the body of LqosdPartial.
type partial struct {
	Seq     eventlog.Seq       `json:"seq"`
	Refused []bakery.LineError `json:"refused"` // at most maxRefused
	Total   int                `json:"refused_total"`
}

// maxRefused bounds how many lines an answer names.
const maxRefused = 1000

func replyOf(o bakery.Outcome) bus.Reply {
	switch {
	case errors.Is(o.Err, eventlog.ErrUnknownOutcome):
		return bus.Reply{Name: "LqosdUnknownOutcome", Value: unknownOutcome{o.Seq, o.Err.Error()}}
	case o.Err != nil:
		return bus.Fail(o.Err.Error())
	case len(o.Refused) > 0:
		return bus.Reply{Name: "LqosdPartial", Value: partial{o.Seq, o.Refused[:min(len(o.Refused), maxRefused)], len(o.Refused)}}
	}
	return bus.Ack()
}
