package bus

import (
	"fmt"
	"strconv"
)

// fault says what is wrong with a value, and where in the body it is: the field names and indices that lead to it.
type fault struct {
	path string
	why  string
}

// Error is "field interfaces[2].name: missing", without the field when the value itself is the whole body.
func (f *fault) Error() string {
	if f.path == "" {
		return f.why
	}
	return "field " + f.path + ": " + f.why
}

func faultf(format string, args ...any) *fault { return &fault{why: fmt.Sprintf(format, args...)} }

func wrongKind(want string, got head) *fault { return faultf("want %s, got %s", want, got.kind()) }

// inField puts the fault into a field; nil stays nil.
func (f *fault) inField(name string) *fault {
	if f == nil {
		return nil
	}
	return f.under(name)
}

// inElement puts the fault into an element of an array; nil stays nil.
func (f *fault) inElement(i int) *fault {
	if f == nil {
		return nil
	}
	return f.under("[" + strconv.Itoa(i) + "]")
}

func (f *fault) under(outer string) *fault {
	switch {
	case f.path == "":
		f.path = outer
	case f.path[0] == '[':
		f.path = outer + f.path
	default:
		f.path = outer + "." + f.path
	}
	return f
}
