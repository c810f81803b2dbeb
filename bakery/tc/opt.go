package tc

// Opt is the value of an option that may be absent, for options whose zero
// value means something when it is given.
type Opt[T comparable] struct {
	Value T
	Given bool
}

// Some is the Opt of a value that was given.
func Some[T comparable](v T) Opt[T] { return Opt[T]{Value: v, Given: true} }

// Or is o's value, or fallback if there is none.
func (o Opt[T]) Or(fallback T) T {
	if o.Given {
		return o.Value
	}
	return fallback
}

// orOpt is o if it was given, else fallback.
func (o Opt[T]) orOpt(fallback Opt[T]) Opt[T] {
	if o.Given {
		return o
	}
	return fallback
}

// Switch is an option that is on, off, or not given.
type Switch uint8

// The three positions of a Switch.
const (
	Unset Switch = iota
	Off
	On
)

// orZero is the first value that is not its type's zero: for options whose zero
// means "not given".
func orZero[T comparable](given, fallback T) T {
	var zero T
	if given != zero {
		return given
	}
	return fallback
}
