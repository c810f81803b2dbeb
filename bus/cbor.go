package bus

import (
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

var (
	cborDecoder = must(cbor.DecOptions{
		DupMapKey:                 cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:           maxDepth,
		MaxArrayElements:          maxElements,
		MaxMapPairs:               maxElements,
		IndefLength:               cbor.IndefLengthAllowed,
		TagsMd:                    cbor.TagsForbidden,
		IntDec:                    cbor.IntDecConvertNone,
		BigIntDec:                 cbor.BigIntDecodePointer,
		DefaultMapType:            reflect.TypeFor[map[string]any](),
		SimpleValues:              must(cbor.NewSimpleValueRegistryFromDefaults(noSimpleValues()...)),
		UTF8:                      cbor.UTF8RejectInvalid,
		FieldNameMatching:         cbor.FieldNameMatchingCaseSensitive,
		BinaryUnmarshaler:         cbor.BinaryUnmarshalerNone,
		TextUnmarshaler:           cbor.TextUnmarshalerTextString,
		JSONUnmarshalerTranscoder: toJSON{},
	}.DecMode())
	cborEncoder = must(cbor.EncOptions{
		ShortestFloat:           cbor.ShortestFloat16,
		NaNConvert:              cbor.NaNConvert7e00,
		InfConvert:              cbor.InfConvertFloat16,
		Time:                    cbor.TimeRFC3339Nano,
		NilContainers:           cbor.NilContainerAsEmpty,
		OmitEmpty:               cbor.OmitEmptyGoValue,
		BinaryMarshaler:         cbor.BinaryMarshalerNone,
		TextMarshaler:           cbor.TextMarshalerTextString,
		JSONMarshalerTranscoder: fromJSON{},
	}.EncMode())
)

// must panics on options that the library refuses: a bug of ours, seen by the first test.
func must[T any](v T, err error) T {
	if err != nil {
		panic("bus: cbor options: " + err.Error())
	}
	return v
}

// noSimpleValues refuses the simple values that have no meaning here: all but true, false, null and undefined.
func noSimpleValues() (refused []func(*cbor.SimpleValueRegistry) error) {
	for v := range 256 {
		if v < 20 || v > 31 {
			refused = append(refused, cbor.WithRejectedSimpleValue(cbor.SimpleValue(v)))
		}
	}
	return refused
}
