package eventlog

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Limits of one transaction.
const (
	// MaxRecord is the largest payload of one record, in bytes.
	MaxRecord = 64 << 20
	// MaxTx is the largest sum of the payloads of one transaction, in bytes.
	MaxTx = 256 << 20
	// MaxTxRecords is the largest number of records in one transaction.
	MaxTxRecords = 1 << 20
	// MaxKey is the longest idempotency key, in bytes.
	MaxKey = 128
)

// Seq numbers records: the first is 1 and there are no gaps. 0 means "no record".
type Seq uint64

// Tx is what is appended at once: all of its records become durable together, or none does.
type Tx struct {
	// Key is the idempotency key, "" for none, at most MaxKey bytes. A second transaction with a key that is among the
	// last 65,536 is not appended; its Result is that of the first.
	Key string
	// Records holds one or more opaque payloads, each at most MaxRecord bytes; a payload may be empty. The log reads
	// them until the transaction is done and does not keep them.
	Records [][]byte
}

// Result says where a transaction is in the log.
type Result struct {
	First, Last Seq
	// Duplicate: the Key was seen before; First and Last are those of the first time.
	Duplicate bool
}

// Record is one durable record as it is read back.
type Record struct {
	Seq Seq
	// Time is when its group was committed, by the clock of the writer; it may step back when that clock did.
	Time time.Time
	// Epoch counts the openings for writing that led to a commit, from 1.
	Epoch uint32
	// TxEnd: the last record of its transaction.
	TxEnd bool
	// Key is the idempotency key, on the last record of a transaction that has one.
	Key string
	// Data is the payload. It stays valid and must not be changed: other readers may see the same bytes.
	Data []byte
}

// A record in a frame's payload is
//
//	uvarint(len(data)<<2 | keyed<<1 | end) | if keyed: one byte len(key), key | data
const (
	recordEnd      = 1 << 0
	recordKeyed    = 1 << 1
	recordLenShift = 2
	// recordOverhead is the most that framing adds to the data of one record.
	recordOverhead = binary.MaxVarintLen32 + 1 + MaxKey
)

type rawRecord struct {
	data []byte
	key  string
	end  bool
}

func (r rawRecord) append(dst []byte) []byte {
	head := uint64(len(r.data)) << recordLenShift
	if r.end {
		head |= recordEnd
	}
	if r.key != "" {
		head |= recordKeyed
	}
	dst = binary.AppendUvarint(dst, head)
	if r.key != "" {
		dst = append(dst, byte(len(r.key)))
		dst = append(dst, r.key...)
	}
	return append(dst, r.data...)
}

// cutRecord takes the first record off b. The record's data shares memory with b.
func cutRecord(b []byte) (rawRecord, []byte, error) {
	head, n := binary.Uvarint(b)
	if n <= 0 {
		return rawRecord{}, nil, fmt.Errorf("record length cut off: %w", ErrCorrupt)
	}
	b = b[n:]
	r := rawRecord{end: head&recordEnd != 0}
	if head&recordKeyed != 0 {
		if !r.end || len(b) == 0 || b[0] == 0 || b[0] > MaxKey || int(b[0]) >= len(b) {
			return rawRecord{}, nil, fmt.Errorf("record key cut off, of a wrong length or not at the end of a transaction: %w", ErrCorrupt)
		}
		r.key = string(b[1 : 1+b[0]])
		b = b[1+b[0]:]
	}
	size := head >> recordLenShift
	if size > MaxRecord || size > uint64(len(b)) {
		return rawRecord{}, nil, fmt.Errorf("record of %d bytes in the last %d of a frame: %w", size, len(b), ErrCorrupt)
	}
	r.data = b[:size:size]
	return r, b[size:], nil
}

// check refuses what can't be stored, before a Seq is given out.
func (tx Tx) check() error {
	if len(tx.Records) == 0 {
		return fmt.Errorf("transaction without records: %w", ErrNotAppended)
	}
	if len(tx.Key) > MaxKey {
		return fmt.Errorf("key of %d bytes, at most %d: %w: %w", len(tx.Key), MaxKey, ErrTooLarge, ErrNotAppended)
	}
	if len(tx.Records) > MaxTxRecords {
		return fmt.Errorf("transaction of %d records, at most %d: %w: %w", len(tx.Records), MaxTxRecords, ErrTooLarge, ErrNotAppended)
	}
	sum := 0
	for i, r := range tx.Records {
		if len(r) > MaxRecord {
			return fmt.Errorf("record %d of %d bytes, at most %d: %w: %w", i, len(r), MaxRecord, ErrTooLarge, ErrNotAppended)
		}
		sum += len(r)
	}
	if sum > MaxTx {
		return fmt.Errorf("transaction of %d bytes, at most %d: %w: %w", sum, MaxTx, ErrTooLarge, ErrNotAppended)
	}
	return nil
}

// size is an upper bound, in bytes, of what tx adds to a payload.
func (tx Tx) size() int {
	n := len(tx.Key) + 1
	for _, r := range tx.Records {
		n += len(r) + binary.MaxVarintLen32
	}
	return n
}
