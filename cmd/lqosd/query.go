package main

import (
	"context"
	"fmt"
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
		"Ping":                  ack,
		"ClearHotCache":         ack, // file mode has no cache
		"ListIpFlow":            listMappings,
		"GetBakeryStats":        bakeryStats,
		"BakeryReportPreflight": reportPreflight,
		"LqosdStatus":           status,
		"LqosdWait":             waitFor,
		"LqosdRecord":           record,
		"LqosdCopy":             openCopy,
		"LqosdCopyRead":         readCopy,
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
		mapped = append(mapped, mappedIP{m.Prefix.Addr().String(), m.Prefix.Bits(), uint32(m.Handle), m.CPU, m.CircuitID, m.DeviceID})
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

func reportPreflight(_ context.Context, c *conn, r bus.Request) bus.Reply {
	var p preflight
	if err := r.Decode(&p); err != nil {
		return bus.Fail(err.Error())
	}
	if c.right < mayCommand {
		return bus.Failf("%s: uid %d may only read", r.Name, c.peer.UID)
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
		timeout = time.Duration(*w.TimeoutMS) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	l := c.d.eventlog.Load()
	if c.d.bakery == nil || l == nil {
		return bus.Failf("the bakery is not running: %v", c.d.bakeryErr)
	}
	seq := l.LastSeq()
	if w.Seq != nil {
		seq = eventlog.Seq(*w.Seq)
	}
	if seq > 0 {
		if err := l.Wait(ctx, seq-1); err != nil {
			return bus.Failf("record %d is not in the log: the newest is %d: %v", seq, l.LastSeq(), err)
		}
	}
	// A read passes behind everything submitted: what was durable has reached the file.
	if _, err := c.d.bakery.Tree(ctx); err != nil {
		return bus.Fail(err.Error())
	}
	applied := w.Applied != nil && *w.Applied
	if err := c.d.bakery.Health().Sink; applied && err != nil {
		return bus.Failf("record %d is durable, but not applied: %v", seq, err)
	}
	return bus.Reply{Name: "LqosdWait", Value: waitReply{seq, applied}}
}

// record answers whether a Seq is in the log, and what it holds: how a client learns
// the truth after an unknown outcome.
func record(_ context.Context, c *conn, r bus.Request) bus.Reply {
	var q struct {
		Seq uint64 `json:"seq"`
	}
	if err := r.Decode(&q); err != nil {
		return bus.Fail(err.Error())
	}
	l := c.d.eventlog.Load()
	if l == nil {
		return bus.Failf("the bakery is not running: %v", c.d.bakeryErr)
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
		return bus.Reply{Name: "LqosdRecord", Value: recordReply{rec.Seq, rec.Command.Kind(), rec}}
	}
	return bus.Failf("record %d is not in the log: the newest is %d", q.Seq, l.LastSeq())
}

type recordReply struct {
	Seq    eventlog.Seq  `json:"seq"`
	Kind   bakery.Kind   `json:"kind"`
	Record bakery.Record `json:"record"`
}
