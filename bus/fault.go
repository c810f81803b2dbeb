package bus

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// fault is what the libraries say of a value that does not fit where it should go, in words that are the same for both.
type fault struct {
	field  string // "" for the whole body
	goType string // of the place
	got    string // kind of the value
	number string // the value, if it is a number of the right kind that is out of range
}

// inField puts an error of the libraries about the type or the range of a value into our words, the field first: "field
// class_minor: 70000 is not within 0..65535". Other errors stay as they are.
func inField(err error) error {
	if err == nil { // what follows takes memory
		return nil
	}
	var fromCBOR *cbor.UnmarshalTypeError
	var fromJSON *json.UnmarshalTypeError
	switch {
	case errors.As(err, &fromCBOR):
		return faultOfCBOR(fromCBOR)
	case errors.As(err, &fromJSON):
		return faultOfJSON(fromJSON)
	}
	return err
}

// faultOfCBOR takes the number from the end of the library's text: "… of type uint16 (70000 overflows uint16)".
func faultOfCBOR(err *cbor.UnmarshalTypeError) fault {
	f := fault{goType: err.GoType, got: err.CBORType, field: err.StructFieldName[strings.LastIndexByte(err.StructFieldName, '.')+1:]}
	_, detail, _ := strings.Cut(err.Error(), " of type "+err.GoType+" (")
	if number, _, overflows := strings.Cut(detail, " overflows "); overflows {
		f.number = number
	}
	return f
}

func faultOfJSON(err *json.UnmarshalTypeError) fault {
	f := fault{field: err.Field, goType: err.Type.String(), got: err.Value}
	if number, ok := strings.CutPrefix(err.Value, "number "); ok && (isFloat(err.Type.String()) || !strings.ContainsAny(number, ".eE")) {
		f.number = number
	}
	return f
}

// Error is "field site_hash: want an integer, got text", without the field when the value is the whole body.
func (f fault) Error() string {
	text := fmt.Sprintf("want %s, got %s", wanted(f.goType), cmp.Or(kinds[f.got], f.got))
	if f.number != "" {
		text = f.number + " is not within " + rangeOf(f.goType)
	}
	if f.field == "" {
		return text
	}
	return "field " + f.field + ": " + text
}

// kinds are our words for the kinds of values of the two libraries.
var kinds = map[string]string{
	"positive integer": "an integer", "negative integer": "a negative integer", "primitives": "a float or a simple value",
	"number": "a number", "bool": "a boolean", "byte string": "a byte string", "UTF-8 text string": "text", "string": "text",
	"array": "a list", "map": "a map", "object": "a map",
}

func isFloat(goType string) bool { return goType == "float32" || goType == "float64" }

// bits is the width of a Go integer type, 0 for all other types.
func bits(goType string) (width int, signed bool) {
	digits, signed := strings.CutPrefix(goType, "int")
	digits, unsigned := strings.CutPrefix(digits, "uint")
	if width, err := strconv.Atoi(digits); err == nil && signed != unsigned {
		return width, signed
	}
	if digits == "" && goType != "" {
		return strconv.IntSize, signed
	}
	return 0, false
}

// wanted is our word for what fits a Go type; types with a name of their own keep it.
func wanted(goType string) string {
	width, signed := bits(goType)
	switch {
	case width > 0 && signed:
		return "an integer"
	case width > 0:
		return "an integer of 0 or more"
	case isFloat(goType):
		return "a number"
	case goType == "string":
		return "text"
	case goType == "bool":
		return "a boolean"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case strings.HasPrefix(goType, "struct"), strings.HasPrefix(goType, "map["):
		return "a map"
	}
	return goType
}

// rangeOf is the range of a Go type of numbers.
func rangeOf(goType string) string {
	width, signed := bits(goType)
	switch {
	case width > 0 && signed:
		return fmt.Sprintf("%d..%d", int64(math.MinInt64)>>(64-width), int64(math.MaxInt64)>>(64-width))
	case width > 0:
		return fmt.Sprintf("0..%d", uint64(math.MaxUint64)>>(64-width))
	}
	return "the range of " + goType
}
