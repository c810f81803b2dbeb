package bakery

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"lqosd/bakery/radix"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// snapshotVersion is the first byte of a snapshot. Version 1 didn't have the circuits and
// generations of mappings.
const (
	snapshotVersion      = 2
	firstSnapshotVersion = 1
)

// AppendSnapshot appends the canonical encoding of t, as docs/format.md describes
// it: equal Trees have equal bytes.
func (t *Tree) AppendSnapshot(dst []byte) []byte { return t.appendSnapshot(dst, snapshotVersion) }

func (t *Tree) appendSnapshot(dst []byte, version byte) []byte {
	e := encoder{dst}
	e.byte(version)
	e.uvarint(uint64(t.Seq))
	e.uvarint(t.Generation)
	e.flags(t.Setup != nil, t.guessed && version > firstSnapshotVersion, t.isStated())
	if t.Setup != nil {
		e.mqSetup(*t.Setup)
	}
	e.strings(tc.Script(t.state))
	e.notes(t)
	e.identities(t)
	e.handles(t)
	e.uvarint(uint64(t.mappings.Len()))
	t.mappings.Scan(func(m Mapping) bool {
		e.mappingEntry(m, version)
		return true
	})
	opaque := t.Opaque()
	e.uvarint(uint64(len(opaque)))
	for _, o := range opaque {
		e.uvarint(uint64(o.Seq))
		e.uvarint(uint64(o.Line))
		e.string(o.Link)
		e.string(o.Text)
	}
	return e.b
}

// Hash is the SHA-256 of the canonical encoding, in hex: two Trees are equal when
// their hashes are.
func (t *Tree) Hash() string {
	sum := sha256.Sum256(t.AppendSnapshot(nil))
	return hex.EncodeToString(sum[:])
}

// DecodeSnapshot is the inverse of AppendSnapshot. A newer version is
// eventlog.ErrNewerFormat, anything else that can't be read eventlog.ErrCorrupt. Of version
// 1 the mappings get the circuits that have their classes in the snapshot.
func DecodeSnapshot(b []byte) (*Tree, error) {
	d := decoder{b: b}
	version := d.byte()
	switch {
	case d.err != nil:
	case version > snapshotVersion:
		return nil, fmt.Errorf("decoding snapshot: version %d: %w", version, eventlog.ErrNewerFormat)
	case version < firstSnapshotVersion:
		d.fail(fmt.Errorf("version %d", version))
	}
	t := NewTree()
	t.Seq, t.Generation = eventlog.Seq(d.uvarint()), d.uvarint()
	flags := d.byte()
	if flags&flagFirst != 0 {
		m := d.mqSetup()
		t.Setup = &m
	}
	t.guessed = flags&flagSecond != 0
	if flags&flagUpload != 0 {
		t.stated = t.Generation
	}
	d.state(t)
	d.notes(t)
	d.identities(t)
	d.handles(t)
	for range d.count() {
		m := d.mappingEntry(version)
		if version == firstSnapshotVersion && d.err == nil {
			m.Circuit, t.guessed = t.circuitOf(m), true
		}
		t.mappings.Set(m)
	}
	t.mapped, t.shaped = t.Seq, t.Seq
	for range d.count() {
		o := OpaqueLine{Seq: eventlog.Seq(d.uvarint()), Line: int(d.uint32()), Link: d.string(), Text: d.string()}
		t.opaque.Set(o.Text, o)
	}
	if d.err == nil && len(d.b) != 0 {
		d.fail(fmt.Errorf("%d bytes too many", len(d.b)))
	}
	if d.err != nil {
		return nil, fmt.Errorf("decoding snapshot: %w: %w", eventlog.ErrCorrupt, d.err)
	}
	return t, nil
}

// count reads the length of a list whose entries take a byte at least.
func (d *decoder) count() uint64 {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail(errTruncated)
		return 0
	}
	return n
}

func (d *decoder) state(t *Tree) {
	for range d.count() {
		op, err := tc.ParseLine(d.string())
		if err == nil {
			err = t.state.Apply(op)
		}
		if err != nil {
			d.fail(err)
			return
		}
	}
}

func (e *encoder) note(n Note) {
	e.flags(n.AskedMbps != nil, false, false)
	e.byte(byte(n.Role))
	e.uint64(uint64(n.Hash))
	e.string(n.Comment)
	e.uvarint(uint64(n.Seq))
	e.uvarint(uint64(n.LeafSeq))
	e.uvarint(uint64(n.From))
	if n.AskedMbps != nil {
		e.float(n.AskedMbps[0])
		e.float(n.AskedMbps[1])
	}
}

func (d *decoder) note() Note {
	asked := d.byte()&flagFirst != 0
	n := Note{Role: Role(d.byte()), Hash: int64(d.uint64()), Comment: d.string(),
		Seq: eventlog.Seq(d.uvarint()), LeafSeq: eventlog.Seq(d.uvarint()), From: eventlog.Seq(d.uvarint())}
	if asked {
		n.AskedMbps = &[2]float64{d.float(), d.float()}
	}
	if int(n.Role) >= len(roleNames) {
		d.fail(fmt.Errorf("unknown role %d", n.Role))
	}
	return n
}

func (e *encoder) notes(t *Tree) {
	e.uvarint(uint64(t.notes.Len()))
	for link, m := range t.notes.All() {
		e.string(link)
		e.uvarint(uint64(m.Len()))
		m.Scan(func(id tc.Handle, n Note) bool {
			e.uvarint(uint64(id))
			e.note(n)
			return true
		})
	}
}

func (d *decoder) notes(t *Tree) {
	for range d.count() {
		m := &radix.Map[tc.Handle, Note]{}
		t.notes.Set(d.string(), m)
		for range d.count() {
			id := tc.Handle(d.uint32())
			n := d.note()
			m.Set(id, n)
			t.named = t.named || n.named()
		}
	}
}

func (e *encoder) identities(t *Tree) {
	e.uvarint(uint64(t.former.Len()))
	for link, f := range t.former.All() {
		e.string(link)
		n := 0
		for range f.all() {
			n++
		}
		e.uvarint(uint64(n))
		for id, i := range f.all() {
			e.uvarint(uint64(id))
			e.uvarint(uint64(i.parent))
			e.note(i.note)
		}
	}
}

func (d *decoder) identities(t *Tree) {
	for range d.count() {
		parents := &radix.Map[tc.Handle, tc.Handle]{}
		f := &former{notes: &radix.Map[tc.Handle, Note]{}, parent: parents.Get}
		t.former.Set(d.string(), f)
		for range d.count() {
			id := tc.Handle(d.uint32())
			parents.Set(id, tc.Handle(d.uint32()))
			n := d.note()
			if !n.named() {
				d.fail(fmt.Errorf("class %s was named by nobody", id))
			}
			f.notes.Set(id, n)
		}
	}
}

func (e *encoder) handles(t *Tree) {
	e.uvarint(uint64(t.handles.Len()))
	for link, h := range t.handles.All() {
		e.string(link)
		e.uvarint(uint64(h.bySlot.Len()))
		h.bySlot.Scan(func(slot tc.Handle, major uint16) bool {
			e.uvarint(uint64(slot))
			e.uvarint(uint64(major))
			return true
		})
	}
}

func (d *decoder) handles(t *Tree) {
	for range d.count() {
		h := &leafHandles{}
		t.handles.Set(d.string(), h)
		for range d.count() {
			slot := tc.Handle(d.uint32())
			major := d.uint16()
			if major == 0 {
				d.fail(errors.New("a leaf handle is 0"))
				return
			}
			h.remember(slot, major)
		}
	}
}

func (e *encoder) mappingEntry(m Mapping, version byte) {
	e.flags(m.Stated, false, m.Upload)
	addr := m.Prefix.Addr().AsSlice()
	e.string(string(addr))
	e.uvarint(uint64(m.Prefix.Bits()))
	e.uvarint(uint64(m.Handle))
	e.uvarint(uint64(m.CPU))
	e.uint64(m.CircuitID)
	e.uint64(m.DeviceID)
	if version > firstSnapshotVersion {
		e.uint64(m.Circuit)
		e.uvarint(m.Generation)
	}
}

func (d *decoder) mappingEntry(version byte) Mapping {
	flags := d.byte()
	m := Mapping{Upload: flags&flagUpload != 0, Stated: flags&flagFirst != 0}
	addr, ok := netip.AddrFromSlice(slices.Clone([]byte(d.string())))
	bits := d.upTo(128)
	if !ok || int(bits) > addr.BitLen() {
		d.fail(errors.New("mapping: no address"))
		return m
	}
	m.Prefix = netip.PrefixFrom(addr, int(bits))
	m.Handle, m.CPU = tc.Handle(d.uint32()), d.uint32()
	m.CircuitID, m.DeviceID = d.uint64(), d.uint64()
	if version > firstSnapshotVersion {
		m.Circuit, m.Generation = d.uint64(), d.uvarint()
	}
	return m
}
