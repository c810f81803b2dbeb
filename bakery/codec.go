package bakery

import (
	"errors"
	"fmt"
	"time"

	"lqosd/eventlog"
)

// recordVersion is the first byte of every payload. A reader refuses a higher
// one as eventlog.ErrNewerFormat.
const recordVersion = 1

// Flag bits of optional fields.
const (
	flagFirst  = 1 << iota // MqSetup: queues_available; circuit: comment; mapping: circuit_id; execute: force
	flagSecond             // MqSetup: stick_offset; mapping: device_id
	flagUpload             // mapping: upload
)

// AppendRecord appends the payload of r, as docs/format.md describes it, to dst.
// The Seq isn't part of it: the log knows it.
func AppendRecord(dst []byte, r Record) []byte {
	e := encoder{dst}
	e.byte(recordVersion)
	e.byte(byte(r.Command.Kind()))
	e.varint(r.Time.UnixNano())
	e.uvarint(uint64(r.Sender.UID))
	e.uvarint(uint64(r.Sender.GID))
	e.varint(int64(r.Sender.PID))
	e.command(r.Command)
	return e.b
}

// DecodeRecord is the inverse of AppendRecord. The record shares no memory with
// payload. A payload of a newer version is eventlog.ErrNewerFormat, anything
// else that can't be read eventlog.ErrCorrupt.
func DecodeRecord(seq eventlog.Seq, payload []byte) (Record, error) {
	d := decoder{b: payload}
	r, k, err := d.head(seq)
	if err != nil {
		return Record{}, err
	}
	r.Command = d.command(k, nil)
	if err := d.end(seq); err != nil {
		return Record{}, err
	}
	return r, nil
}

// head reads what every record begins with, up to its command.
func (d *decoder) head(seq eventlog.Seq) (r Record, k Kind, err error) {
	if v := d.byte(); d.err == nil && v != recordVersion {
		return Record{}, 0, fmt.Errorf("decoding record %d: version %d: %w", seq, v, eventlog.ErrNewerFormat)
	}
	k = Kind(d.byte())
	r = Record{Seq: seq, Time: time.Unix(0, d.varint()).UTC()}
	r.Sender = Sender{UID: d.uint32(), GID: d.uint32(), PID: d.int32()}
	return r, k, nil
}

// end is what was wrong with a record that was read to its end.
func (d *decoder) end(seq eventlog.Seq) error {
	if d.err == nil && len(d.b) != 0 {
		d.fail(fmt.Errorf("%d bytes too many", len(d.b)))
	}
	switch {
	case errors.Is(d.err, eventlog.ErrNewerFormat):
		return fmt.Errorf("decoding record %d: %w", seq, d.err)
	case d.err != nil:
		return fmt.Errorf("decoding record %d: %w: %w", seq, eventlog.ErrCorrupt, d.err)
	}
	return nil
}

func (e *encoder) command(c Command) {
	switch c := c.(type) {
	case ClearPriorSettings:
		e.strings(c.Links)
	case MqSetup:
		e.mqSetup(c)
	case AddStructuralHTBClass:
		e.class(c.Link, c.Parent, c.ClassID, c.RateMbps, c.CeilMbps, c.SiteHash, c.R2Q)
	case AddCircuitHTBClass:
		e.class(c.Link, c.Parent, c.ClassID, c.RateMbps, c.CeilMbps, c.CircuitHash, c.R2Q)
		e.flags(c.Comment != nil, false, false)
		if c.Comment != nil {
			e.string(*c.Comment)
		}
	case AddCircuitQdisc:
		e.string(c.Link)
		e.uvarint(uint64(c.ParentMajor))
		e.uvarint(uint64(c.ParentMinor))
		e.uint64(uint64(c.CircuitHash))
		e.strings(c.SQM)
	case ExecuteTCCommands:
		e.flags(c.Force, false, false)
		e.strings(c.Lines)
		e.uvarint(uint64(len(c.Opaque)))
		for _, i := range c.Opaque {
			e.uvarint(uint64(i))
		}
	case MapIPToFlow:
		e.mapping(c)
	case DelIPFlow:
		e.flags(false, false, c.Upload)
		e.string(c.Address)
	case ClearIPFlow:
	case Commit:
		e.commit(c)
	case ChangeSiteSpeedLive:
		e.speed(c)
	default:
		panic(fmt.Sprintf("bakery: no encoding for %T", c))
	}
}

// command reads a command; what the decoder's preparer knows of it goes into out.
func (d *decoder) command(k Kind, out *meaning) Command {
	switch k {
	case KindClearPriorSettings:
		return ClearPriorSettings{Links: d.strings()}
	case KindMqSetup:
		return d.mqSetup()
	case KindAddStructuralHTBClass:
		var c AddStructuralHTBClass
		d.class(&c.Link, &c.Parent, &c.ClassID, &c.RateMbps, &c.CeilMbps, &c.SiteHash, &c.R2Q)
		return c
	case KindAddCircuitHTBClass:
		var c AddCircuitHTBClass
		d.class(&c.Link, &c.Parent, &c.ClassID, &c.RateMbps, &c.CeilMbps, &c.CircuitHash, &c.R2Q)
		if d.byte()&flagFirst != 0 {
			s := d.string()
			c.Comment = &s
		}
		return c
	case KindAddCircuitQdisc:
		return d.leaf(out)
	case KindExecuteTCCommands:
		return d.execute(out)
	case KindMapIPToFlow:
		return d.mapping()
	case KindDelIPFlow:
		return DelIPFlow{Upload: d.byte()&flagUpload != 0, Address: d.string()}
	case KindClearIPFlow:
		return ClearIPFlow{}
	case KindCommit:
		return d.commit()
	case KindChangeSiteSpeedLive:
		return d.speed()
	}
	d.fail(fmt.Errorf("unknown %v: %w", k, eventlog.ErrNewerFormat))
	return nil
}

func (e *encoder) class(link, parent, classID string, rate, ceil float64, hash int64, r2q uint64) {
	e.string(link)
	e.string(parent)
	e.string(classID)
	e.float(rate)
	e.float(ceil)
	e.uint64(uint64(hash))
	e.uvarint(r2q)
}

func (d *decoder) class(link, parent, classID *string, rate, ceil *float64, hash *int64, r2q *uint64) {
	*link, *parent, *classID = d.string(), d.string(), d.string()
	*rate, *ceil = d.float(), d.float()
	*hash, *r2q = int64(d.uint64()), d.uvarint()
}

func (e *encoder) mqSetup(m MqSetup) {
	e.flags(m.QueuesAvailable != nil, m.StickOffset != nil, false)
	if m.QueuesAvailable != nil {
		e.varint(int64(*m.QueuesAvailable))
	}
	if m.StickOffset != nil {
		e.varint(int64(*m.StickOffset))
	}
	for _, dir := range []Direction{m.Down, m.Up} {
		e.string(dir.Link)
		e.uvarint(uint64(dir.FirstMajor))
		e.uvarint(uint64(dir.Queues))
		e.float(dir.CapacityMbps)
		e.strings(dir.SQM)
	}
	e.uvarint(m.R2Q)
}

func (d *decoder) mqSetup() MqSetup {
	var m MqSetup
	f := d.byte()
	if f&flagFirst != 0 {
		n := int(d.varint())
		m.QueuesAvailable = &n
	}
	if f&flagSecond != 0 {
		n := int(d.varint())
		m.StickOffset = &n
	}
	for _, dir := range []*Direction{&m.Down, &m.Up} {
		*dir = Direction{Link: d.string(), FirstMajor: d.uint16(), Queues: d.uint16(),
			CapacityMbps: d.float(), SQM: d.strings()}
	}
	m.R2Q = d.uvarint()
	return m
}

func (e *encoder) mapping(c MapIPToFlow) {
	e.flags(c.CircuitID != nil, c.DeviceID != nil, c.Upload)
	e.string(c.Address)
	e.uvarint(uint64(c.Handle))
	e.uvarint(uint64(c.CPU))
	if c.CircuitID != nil {
		e.uint64(*c.CircuitID)
	}
	if c.DeviceID != nil {
		e.uint64(*c.DeviceID)
	}
}

func (d *decoder) mapping() MapIPToFlow {
	f := d.byte()
	c := MapIPToFlow{Upload: f&flagUpload != 0, Address: d.string(), Handle: d.uint32(), CPU: d.uint32()}
	if f&flagFirst != 0 {
		id := d.uint64()
		c.CircuitID = &id
	}
	if f&flagSecond != 0 {
		id := d.uint64()
		c.DeviceID = &id
	}
	return c
}

func (d *decoder) leaf(out *meaning) AddCircuitQdisc {
	c := AddCircuitQdisc{Link: d.string(), ParentMajor: d.uint32(), ParentMinor: d.uint32(), CircuitHash: int64(d.uint64())}
	if d.with != nil {
		c.SQM = d.with.leaf(d, out)
	} else {
		c.SQM = d.strings()
	}
	return c
}

func (d *decoder) execute(out *meaning) ExecuteTCCommands {
	if d.with != nil {
		return d.with.execute(d, out)
	}
	c := ExecuteTCCommands{Force: d.byte()&flagFirst != 0, Lines: d.strings()}
	c.Opaque = d.opaque(len(c.Lines))
	return c
}

// opaque reads which of n lines are opaque.
func (d *decoder) opaque(n int) (list []int) {
	least := uint64(0)
	for range d.count() {
		i := d.uvarint()
		if i < least || i >= uint64(n) {
			d.fail(fmt.Errorf("opaque line %d of %d", i, n))
			break
		}
		list, least = append(list, int(i)), i+1
	}
	return list
}
