package kernel

import (
	"encoding/binary"

	"github.com/mdlayher/netlink"
)

// native is the byte order of netlink.
var native = binary.NativeEndian

// appendBytes appends an attribute: its length and type, the value, and zeros up to a
// multiple of four bytes (struct nlattr, linux/netlink.h). b has such a length already.
func appendBytes(b []byte, typ uint16, value []byte) []byte {
	b = native.AppendUint16(b, uint16(4+len(value)))
	b = native.AppendUint16(b, typ)
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

func append32(b []byte, typ uint16, v uint32) []byte {
	b = native.AppendUint16(b, 8)
	b = native.AppendUint16(b, typ)
	return native.AppendUint32(b, v)
}

func append64(b []byte, typ uint16, v uint64) []byte {
	b = native.AppendUint16(b, 12)
	b = native.AppendUint16(b, typ)
	return native.AppendUint64(b, v)
}

// append8 appends a number of one byte.
func append8(b []byte, typ uint16, v uint8) []byte { return appendBytes(b, typ, []byte{v}) }

// appendBool appends a number of 32 bits that is 0 or 1.
func appendBool(b []byte, typ uint16, on bool) []byte {
	if on {
		return append32(b, typ, 1)
	}
	return append32(b, typ, 0)
}

// appendWords appends the numbers of 32 bits that many structs consist of.
func appendWords(b []byte, words ...uint32) []byte {
	for _, w := range words {
		b = native.AppendUint32(b, w)
	}
	return b
}

// appendNest appends an attribute whose value is what fill appends. It isn't flagged as
// nested, for tc(8) doesn't do it either.
func appendNest(b []byte, typ uint16, fill func([]byte) []byte) []byte {
	start := len(b)
	b = native.AppendUint16(b, 0)
	b = native.AppendUint16(b, typ)
	b = fill(b)
	native.PutUint16(b[start:], uint16(len(b)-start))
	return append(b, make([]byte, -len(b)&3)...)
}

// eachAttribute calls visit for every attribute of b. What visit reads with the methods of
// the decoder is checked for its length.
func eachAttribute(b []byte, visit func(a *netlink.AttributeDecoder)) error {
	a, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return err
	}
	for a.Next() {
		visit(a)
	}
	return a.Err()
}

// attributes calls visit for every attribute of b, with its type and its value, which isn't copied. It is for what tens of
// thousands of objects have; all else is read by eachAttribute.
func attributes(b []byte, visit func(typ uint16, value []byte)) error {
	const nested, byteOrder = 1 << 15, 1 << 14 // NLA_F_NESTED, NLA_F_NET_BYTEORDER
	for len(b) >= 4 {
		n := int(native.Uint16(b))
		if n < 4 || n > len(b) {
			return errShort
		}
		visit(native.Uint16(b[2:])&^(nested|byteOrder), b[4:n])
		b = b[min((n+3)&^3, len(b)):]
	}
	if len(b) > 0 {
		return errShort
	}
	return nil
}

// words are the numbers of 32 bits at the start of a struct; those that the kernel didn't
// send are 0.
func words(b []byte, n int) []uint32 {
	list := make([]uint32, n)
	readWords(list, b)
	return list
}

func readWords(list []uint32, b []byte) {
	for i := range list {
		if len(b) >= 4 {
			list[i] = native.Uint32(b)
			b = b[4:]
		}
	}
}
