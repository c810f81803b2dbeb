package xdp

// lengths are those that the programs look for, by space, as struct control of maps.h has them: bit 128 - n, counted from
// the lowest of the first word, stands for prefixes of n bits. The programs are told of a length before it has a prefix, and
// of its end after the last is gone: whatever moment they look at, or a process ends at, none is missing.
type lengths [4][3]uint64

const (
	longest  = 128 // bits of an address
	wordBits = 64
)

// add adds a length to those of a space.
func (l *lengths) add(space uint32, length int) {
	bit := longest - length
	l[space][bit/wordBits] |= 1 << (bit % wordBits)
}

// with are the lengths of both.
func (l lengths) with(other lengths) lengths {
	for space := range l {
		for word := range l[space] {
			l[space][word] |= other[space][word]
		}
	}
	return l
}
