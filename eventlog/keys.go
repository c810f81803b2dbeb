package eventlog

import (
	"encoding/binary"
	"fmt"
)

// maxKeys is how many idempotency keys are remembered.
const maxKeys = 1 << 16

// keyed is a transaction with an idempotency key.
type keyed struct {
	key         string
	first, last Seq
	pending     *completion // of the first time, for duplicates that come before it is durable; nil after a reopen
}

// keyTable remembers the last maxKeys keys, oldest out first.
type keyTable struct {
	byKey map[string]int // index into order
	order []keyed        // a ring once it is full
	next  int            // where the next one goes
}

func newKeyTable() *keyTable { return &keyTable{byKey: map[string]int{}} }

func (t *keyTable) lookup(key string) (keyed, bool) {
	i, ok := t.byKey[key]
	if !ok {
		return keyed{}, false
	}
	return t.order[i], true
}

func (t *keyTable) add(k keyed) {
	if len(t.order) < maxKeys {
		t.byKey[k.key] = len(t.order)
		t.order = append(t.order, k)
		return
	}
	delete(t.byKey, t.order[t.next].key)
	t.byKey[k.key] = t.next
	t.order[t.next] = k
	t.next = (t.next + 1) % maxKeys
}

// encode is the list of keys, oldest first, of transactions that end at or before at:
//
//	uvarint(len(key)) | key | uvarint(first) | uvarint(last-first), again and again
func (t *keyTable) encode(at Seq) []byte {
	var b []byte
	for i := range t.order {
		k := t.order[(t.next+i)%len(t.order)]
		if k.last > at {
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(k.key)))
		b = append(b, k.key...)
		b = binary.AppendUvarint(b, uint64(k.first))
		b = binary.AppendUvarint(b, uint64(k.last-k.first))
	}
	return b
}

// decode adds an encoded list.
func (t *keyTable) decode(b []byte) error {
	for len(b) > 0 {
		size, n := binary.Uvarint(b)
		if n <= 0 || size == 0 || size > MaxKey || size > uint64(len(b)-n) {
			return fmt.Errorf("list of keys: key of %d bytes: %w", size, ErrCorrupt)
		}
		k := keyed{key: string(b[n : n+int(size)])}
		b = b[n+int(size):]
		first, n1 := binary.Uvarint(b)
		if n1 <= 0 {
			return fmt.Errorf("list of keys: cut off: %w", ErrCorrupt)
		}
		more, n2 := binary.Uvarint(b[n1:])
		if n2 <= 0 {
			return fmt.Errorf("list of keys: cut off: %w", ErrCorrupt)
		}
		k.first, k.last = Seq(first), Seq(first+more)
		t.add(k)
		b = b[n1+n2:]
	}
	return nil
}

// keyScan collects the keyed transactions of frames that are read in order.
type keyScan struct {
	table *keyTable
	start Seq // of the transaction being read
}

func (s *keyScan) record(r Record) error {
	if s.start == 0 {
		s.start = r.Seq
	}
	if !r.TxEnd {
		return nil
	}
	if r.Key != "" {
		s.table.add(keyed{key: r.Key, first: s.start, last: r.Seq})
	}
	s.start = 0
	return nil
}
