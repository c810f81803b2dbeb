package kernel

import (
	"fmt"

	"lqosd/bakery/tc"
)

// codec is how the options of one kind of qdisc look in TCA_OPTIONS.
type codec struct {
	encode func(b []byte, o tc.Options, e encoding) ([]byte, error)
	decode func(value []byte, host tc.Host) (tc.Options, error)
}

// encoding is what an encoder looks at besides the options.
type encoding struct {
	host tc.Host
	verb tc.Verb
}

// codecs has every kind that package tc models.
var codecs = map[string]codec{
	"mq":       empty(tc.MQ{}),
	"clsact":   empty(tc.Clsact{}),
	"ingress":  empty(tc.IngressQdisc{}),
	"htb":      pair(encodeHTB, decodeHTB),
	"cake":     pair(encodeCake, decodeCake),
	"fq_codel": pair(encodeFqCodel, decodeFqCodel),
	"codel":    pair(encodeCodel, decodeCodel),
	"fq":       pair(encodeFq, decodeFq),
	"pfifo":    pair(encodePfifo, decodePfifo),
	"bfifo":    pair(encodeBfifo, decodeBfifo),
	"tbf":      pair(encodeTbf, decodeTbf),
	"sfq":      pair(encodeSfq, decodeSfq),
	"netem":    pair(encodeNetem, decodeNetem),
}

// kindNames gives the name of each kind, which so isn't made for every qdisc and class.
var kindNames = func() map[string]string {
	names := map[string]string{}
	for kind := range codecs {
		names[kind] = kind
	}
	return names
}()

// pair joins the two directions of a kind.
func pair[O tc.Options](encode func([]byte, O, encoding) ([]byte, error), decode func([]byte, tc.Host) (tc.Options, error)) codec {
	return codec{
		encode: func(b []byte, o tc.Options, e encoding) ([]byte, error) { return encode(b, o.(O), e) },
		decode: decode,
	}
}

// empty is for a kind that has no options.
func empty(o tc.Options) codec {
	return codec{
		encode: func(b []byte, _ tc.Options, _ encoding) ([]byte, error) { return b, nil },
		decode: func([]byte, tc.Host) (tc.Options, error) { return o, nil },
	}
}

// encodeOptions appends TCA_OPTIONS; nothing if no option was given, as tc(8) does for most
// kinds and the kernel takes for all.
func encodeOptions(b []byte, o tc.Options, e encoding) ([]byte, error) {
	c, ok := codecs[o.Kind()]
	if !ok {
		return nil, fmt.Errorf("qdisc kind %q: %w", o.Kind(), tc.ErrNotSupported)
	}
	var err error
	length := 0
	with := appendNest(b, tcaOptions, func(b []byte) []byte {
		var value []byte
		if value, err = c.encode(b, o, e); err != nil {
			return b
		}
		length = len(value) - len(b)
		return value
	})
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", o.Kind(), err)
	}
	if length == 0 {
		return b, nil
	}
	return with, nil
}

// decodeOptions is the options of a qdisc; tc.Foreign for a kind that isn't modelled, or a
// value that is younger than this program.
func decodeOptions(kind string, value []byte, host tc.Host) (tc.Options, error) {
	c, ok := codecs[kind]
	if !ok {
		return tc.Foreign{Name: kind}, nil
	}
	o, err := c.decode(value, host)
	if err != nil {
		return nil, fmt.Errorf("decoding %s: %w", kind, err)
	}
	return o, nil
}

// position is a switch that is always one or the other.
func position(v uint32) tc.Switch {
	if v != 0 {
		return tc.On
	}
	return tc.Off
}
