package bus

import (
	"errors"
	"maps"
	"reflect"
	"slices"

	"github.com/fxamacker/cbor/v2"
)

var (
	cborDecoder = must(decOptions(cbor.ExtraDecErrorNone).DecMode())
	// cborKnown is the same, but a field that its struct doesn't have is an error.
	cborKnown   = must(decOptions(cbor.ExtraDecErrorUnknownField).DecMode())
	cborEncoder = must(encOptions.EncMode())
	// cborBuffers is the same, into a buffer.
	cborBuffers = must(encOptions.UserBufferEncMode())
)

var encOptions = cbor.EncOptions{
	ShortestFloat:           cbor.ShortestFloat16,
	NaNConvert:              cbor.NaNConvert7e00,
	InfConvert:              cbor.InfConvertFloat16,
	Time:                    cbor.TimeRFC3339Nano,
	NilContainers:           cbor.NilContainerAsEmpty,
	OmitEmpty:               cbor.OmitEmptyGoValue,
	BinaryMarshaler:         cbor.BinaryMarshalerNone,
	TextMarshaler:           cbor.TextMarshalerTextString,
	JSONMarshalerTranscoder: fromJSON{},
}

func decOptions(refused cbor.ExtraDecErrorCond) cbor.DecOptions {
	return cbor.DecOptions{
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
		ExtraReturnErrors:         refused,
	}
}

// unmarshalCBOR decodes one value. Only where a struct doesn't have all the fields that came are their names looked at; where it has,
// onlyFields says so.
func unmarshalCBOR(data []byte, v any) (onlyFields bool, err error) {
	if err = cborKnown.Unmarshal(data, v); err == nil {
		return true, nil
	}
	var unknown *cbor.UnknownFieldError
	if !errors.As(err, &unknown) {
		return false, err
	}
	target := reflect.ValueOf(v).Elem()
	target.SetZero()
	if err := cborDecoder.Unmarshal(data, v); err != nil {
		return false, err
	}
	n := namesOf(target.Type())
	if n == nil || n.kind != reflect.Struct {
		return false, nil
	}
	var came map[string]presence
	if err := cborDecoder.Unmarshal(data, &came); err != nil {
		return false, err
	}
	for _, name := range slices.Sorted(maps.Keys(came)) {
		if _, ok := n.known[name]; ok {
			continue
		}
		if err := n.checkUnknown(name); err != nil {
			return false, err
		}
	}
	return false, nil
}

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
