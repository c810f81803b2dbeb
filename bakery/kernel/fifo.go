package kernel

import "lqosd/bakery/tc"

// The options of pfifo and bfifo are struct tc_fifo_qopt itself, not attributes.

func encodePfifo(b []byte, o tc.Pfifo, _ encoding) ([]byte, error) {
	return appendLimit(b, o.Limit), nil
}

func encodeBfifo(b []byte, o tc.Bfifo, _ encoding) ([]byte, error) {
	return appendLimit(b, o.Limit), nil
}

func appendLimit(b []byte, limit tc.Opt[uint32]) []byte {
	if !limit.Given {
		return b
	}
	return appendWords(b, limit.Value)
}

func decodePfifo(value []byte, _ tc.Host) (tc.Options, error) {
	limit, err := readLimit(value)
	return tc.Pfifo{Limit: limit}, err
}

func decodeBfifo(value []byte, _ tc.Host) (tc.Options, error) {
	limit, err := readLimit(value)
	return tc.Bfifo{Limit: limit}, err
}

func readLimit(value []byte) (tc.Opt[uint32], error) {
	if len(value) < 4 {
		return tc.Opt[uint32]{}, errShort
	}
	return tc.Some(native.Uint32(value)), nil
}
