package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/eventlog"
)

// query answers a request that appends nothing.
type query func(ctx context.Context, c *conn, r bus.Request) bus.Reply

// queries are the requests that every peer may send. They see everything that the
// same session's commands did.
var queries map[string]query

func init() {
	queries = map[string]query{
		"Ping":           ack,
		"ClearHotCache":  clearHotCache,
		"ListIpFlow":     listMappings,
		"GetBakeryStats": bakeryStats,
		"LqosdStatus":    status,
		"LqosdTraffic":   circuitsTraffic,
		"LqosdWait":      waitFor,
		"LqosdRecord":    record,
		"LqosdCopy":      openCopy,
		"LqosdCopyRead":  readCopy,
	}
}

func ack(context.Context, *conn, bus.Request) bus.Reply { return bus.Ack() }

// tree gives the durable Tree, or the reply that says why there is none.
func (c *conn) tree(ctx context.Context) (*bakery.Tree, error) {
	if c.d.bakery == nil {
		return nil, fmt.Errorf("the bakery is not running: %w", c.d.bakeryErr)
	}
	return c.d.bakery.Tree(ctx)
}

// mappedIP is an entry of MappedIps.
type mappedIP struct {
	Address      string `json:"ip_address"`
	PrefixLength int    `json:"prefix_length"`
	Handle       uint32 `json:"tc_handle"`
	CPU          uint32 `json:"cpu"`
	CircuitID    uint64 `json:"circuit_id"`
	DeviceID     uint64 `json:"device_id"`
}

func listMappings(ctx context.Context, c *conn, _ bus.Request) bus.Reply {
	t, err := c.tree(ctx)
	if err != nil {
		return bus.Fail(err.Error())
	}
	mapped := make([]mappedIP, 0, t.MappingCount())
	for m := range t.Mappings {
		circuit := m.CircuitID
		if m.Stated && circuit == 0 {
			circuit = m.Circuit // clients make the id of the name that the hash is of
		}
		mapped = append(mapped, mappedIP{m.Prefix.Addr().String(), m.Prefix.Bits(), uint32(m.Handle), m.CPU, circuit, m.DeviceID})
	}
	return bus.Reply{Name: "MappedIps", Value: mapped}
}

func bakeryStats(ctx context.Context, c *conn, _ bus.Request) bus.Reply {
	t, err := c.tree(ctx)
	if err != nil {
		return bus.Fail(err.Error())
	}
	return bus.Reply{Name: "BakeryActiveCircuits", Value: t.Circuits()}
}

// preflight is what a client reports of its own checks.
type preflight struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"`
}

// maxPreflight is how much of a report's message is kept and logged, in bytes: every LqosdStatus carries it.
const maxPreflight = 4096

// reportPreflight keeps a report when it arrives: the newest is the one that arrived last, whoever reads its answer.
func (c *conn) reportPreflight(r bus.Request) bus.Reply {
	var p preflight
	if err := r.Decode(&p); err != nil {
		return bus.Fail(err.Error())
	}
	if c.right < mayCommand {
		return bus.Failf("uid %d may only read", c.peer.UID)
	}
	if len(p.Message) > maxPreflight {
		p.Message = strings.ToValidUTF8(p.Message[:maxPreflight], "") + "…"
	}
	if !p.OK {
		c.d.log.Warn("a client's preflight check failed", "message", p.Message, "pid", c.peer.PID)
	}
	c.d.mu.Lock()
	defer c.d.mu.Unlock()
	c.d.preflight = &p
	return bus.Ack()
}

// waitRequest is the body of LqosdWait, waitReply its answer's.
type waitRequest struct {
	Seq       *uint64 `json:"seq"`        // nil: the newest durable record
	Since     *uint64 `json:"since"`      // what the kernel refuses counts from this record on; nil: from seq, or from the first if that is nil
	Applied   *bool   `json:"applied"`    // true: until the record has reached the kernel, in file mode the tc file
	TimeoutMS *int64  `json:"timeout_ms"` // nil: 30 s
}

type waitReply struct {
	Seq     eventlog.Seq `json:"seq"`
	Applied bool         `json:"applied"`
}

func waitFor(ctx context.Context, c *conn, r bus.Request) bus.Reply {
	var w waitRequest
	if err := r.Decode(&w); err != nil {
		return bus.Fail(err.Error())
	}
	timeout := 30 * time.Second
	if w.TimeoutMS != nil {
		timeout = time.Duration(max(0, min(*w.TimeoutMS, maxTimeout.Milliseconds()))) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	seq, err := c.waitDurable(ctx, w.Seq)
	if err != nil {
		return bus.Fail(err.Error())
	}
	// A read passes behind everything submitted: what was durable has reached the file.
	if _, err := c.tree(ctx); err != nil {
		return bus.Fail(err.Error())
	}
	applied := w.Applied != nil && *w.Applied
	if applied && c.d.kernel != nil {
		if err := c.d.bakery.WaitApplied(ctx, w.since(), seq); err != nil {
			return bus.Fail(err.Error())
		}
	}
	if err := c.d.bakery.Health().Sink; applied && err != nil {
		return bus.Failf("record %d is durable, but not applied: %v", seq, err)
	}
	return bus.Reply{Name: "LqosdWait", Value: waitReply{seq, applied}}
}

// since is the first record of those whose refusal by the kernel ends the wait.
func (w waitRequest) since() eventlog.Seq {
	switch {
	case w.Since != nil:
		return eventlog.Seq(*w.Since)
	case w.Seq != nil:
		return eventlog.Seq(*w.Seq)
	}
	return 0
}

// maxTimeout is the longest that LqosdWait waits.
const maxTimeout = 24 * time.Hour

// log is the open event log, once what was submitted before has been decided: behind
// the reopening that a failed commit makes.
func (c *conn) log(ctx context.Context) (*eventlog.Log, error) {
	if _, err := c.tree(ctx); err != nil {
		return nil, err
	}
	return c.d.eventlog.Load(), nil
}

// waitDurable waits until record seq is durable; nil is the newest of the moment.
func (c *conn) waitDurable(ctx context.Context, wanted *uint64) (eventlog.Seq, error) {
	for {
		l, err := c.log(ctx)
		if err != nil {
			return 0, err
		}
		seq := l.LastSeq()
		if wanted != nil {
			seq = eventlog.Seq(*wanted)
		}
		if seq == 0 {
			return 0, nil
		}
		switch err := c.waitRecord(ctx, l, seq); {
		case err == nil:
			return seq, nil
		case errors.Is(err, eventlog.ErrPoisoned), errors.Is(err, eventlog.ErrClosed):
			continue // it was opened again, or will be
		default:
			return 0, fmt.Errorf("record %d is not in the log: the newest is %d: %w", seq, l.LastSeq(), err)
		}
	}
}

// errEnding says that no more records come: who waits for one must not hold up the end.
var errEnding = errors.New("the daemon ends")

// waitRecord waits until l has record seq, or can't get it any more.
func (c *conn) waitRecord(ctx context.Context, l *eventlog.Log, seq eventlog.Seq) error {
	if l.LastSeq() >= seq {
		return nil
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.d.ending:
			cancel()
		case <-waiting.Done():
		}
	}()
	err := l.Wait(waiting, seq-1)
	if err == nil || waiting.Err() == nil || ctx.Err() != nil {
		return err
	}
	// What was submitted before may yet become durable; a read passes behind it.
	if _, err := c.tree(ctx); err != nil {
		return err
	}
	if l.LastSeq() >= seq {
		return nil
	}
	return errEnding
}

// record answers whether a Seq is in the log, and what it holds: how a client learns
// the truth after an unknown outcome.
func record(ctx context.Context, c *conn, r bus.Request) bus.Reply {
	var q struct {
		Seq uint64 `json:"seq"`
	}
	if err := r.Decode(&q); err != nil {
		return bus.Fail(err.Error())
	}
	l, err := c.log(ctx)
	if err != nil {
		return bus.Fail(err.Error())
	}
	for raw, err := range l.Records(eventlog.Seq(q.Seq)) {
		if err != nil {
			return bus.Fail(err.Error())
		}
		if raw.Seq != eventlog.Seq(q.Seq) {
			break
		}
		rec, err := bakery.DecodeRecord(raw.Seq, raw.Data)
		if err != nil {
			return bus.Fail(err.Error())
		}
		return bus.Reply{Name: "LqosdRecord", Value: recordReply{rec.Command.Kind(), rec}}
	}
	return bus.Failf("record %d is not in the log: the newest is %d", q.Seq, l.LastSeq())
}

type recordReply struct {
	Kind   bakery.Kind   `json:"kind"`
	Record bakery.Record `json:"record"`
}
