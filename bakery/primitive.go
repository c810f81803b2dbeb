package bakery

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var errTruncated = errors.New("payload ends early")

// encoder appends primitives: LEB128 varints, little-endian fixed integers,
// strings with their length in front.
type encoder struct{ b []byte }

func (e *encoder) byte(v byte)      { e.b = append(e.b, v) }
func (e *encoder) uvarint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) varint(v int64)   { e.b = binary.AppendVarint(e.b, v) }
func (e *encoder) uint64(v uint64)  { e.b = binary.LittleEndian.AppendUint64(e.b, v) }
func (e *encoder) float(v float64)  { e.uint64(math.Float64bits(v)) }
func (e *encoder) float32(v float32) {
	e.b = binary.LittleEndian.AppendUint32(e.b, math.Float32bits(v))
}

func (e *encoder) string(s string) { e.uvarint(uint64(len(s))); e.b = append(e.b, s...) }

func (e *encoder) strings(s []string) {
	e.uvarint(uint64(len(s)))
	for _, w := range s {
		e.string(w)
	}
}

func (e *encoder) flags(first, second, upload bool) {
	var f byte
	if first {
		f |= flagFirst
	}
	if second {
		f |= flagSecond
	}
	if upload {
		f |= flagUpload
	}
	e.byte(f)
}

// decoder reads what encoder wrote. After the first error everything reads as zero.
type decoder struct {
	b    []byte
	err  error
	with *preparer // what is known already; nil: nothing
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err, d.b = err, nil
	}
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail(errTruncated)
		return 0
	}
	v := d.b[0]
	d.b = d.b[1:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(errTruncated)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail(errTruncated)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) upTo(limit uint64) uint64 {
	v := d.uvarint()
	if v > limit {
		d.fail(fmt.Errorf("%d is over %d", v, limit))
		return 0
	}
	return v
}

func (d *decoder) uint32() uint32 { return uint32(d.upTo(math.MaxUint32)) }
func (d *decoder) uint16() uint16 { return uint16(d.upTo(math.MaxUint16)) }
func (d *decoder) float() float64 { return math.Float64frombits(d.uint64()) }

func (d *decoder) float32() float32 {
	if len(d.b) < 4 {
		d.fail(errTruncated)
		return 0
	}
	v := binary.LittleEndian.Uint32(d.b)
	d.b = d.b[4:]
	return math.Float32frombits(v)
}

func (d *decoder) int32() int32 {
	v := d.varint()
	if v != int64(int32(v)) {
		d.fail(fmt.Errorf("%d is over 32 bits", v))
		return 0
	}
	return int32(v)
}

func (d *decoder) uint64() uint64 {
	if len(d.b) < 8 {
		d.fail(errTruncated)
		return 0
	}
	v := binary.LittleEndian.Uint64(d.b)
	d.b = d.b[8:]
	return v
}

func (d *decoder) string() string {
	if d.with != nil {
		return d.with.texts.text(d.bytes())
	}
	return string(d.bytes())
}

// bytes is a string within the payload.
func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail(errTruncated)
		return nil
	}
	s := d.b[:n]
	d.b = d.b[n:]
	return s
}

// skipStrings passes over a list, and gives its bytes.
func (d *decoder) skipStrings() []byte {
	all := d.b
	for range d.count() {
		d.bytes()
	}
	if d.err != nil {
		return nil
	}
	return all[:len(all)-len(d.b)]
}

// strings reads a list. Every string takes a byte at least, so a declared count
// can't make it allocate more than the payload justifies.
func (d *decoder) strings() []string {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail(errTruncated)
		return nil
	}
	if n == 0 {
		return nil
	}
	s := make([]string, n)
	for i := range s {
		s[i] = d.string()
	}
	return s
}
