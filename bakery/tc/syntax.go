package tc

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ErrUnknown marks a line that tc(8) may well understand but this package does
// not model: another object (filter, chain, action), another kind of qdisc or
// class, or a clause such as estimator. A caller may keep such a line as it is.
var ErrUnknown = errors.New("not modelled")

// SyntaxError is a line that is wrong, whoever reads it.
type SyntaxError struct {
	Line   string // the whole line
	Word   string // the word that is wrong, "" if something is missing at the end
	Offset int    // where Word starts in Line, in bytes
	Why    string // what is wrong, in words for the person who wrote the line
}

// Error says what is wrong and at which column, counted from 1.
func (e *SyntaxError) Error() string {
	if e.Word == "" {
		return e.Why
	}
	return fmt.Sprintf("%s (column %d)", e.Why, e.Offset+1)
}

// words walks over the words of one line. The first failure stays in err and
// ends the walk.
type words struct {
	line string
	pos  int    // where the next word is looked for
	word string // the current word
	at   int    // where it starts
	kind string // whose options are read, for messages
	err  error
}

// next moves to the next word; false at the end or after a failure.
func (w *words) next() bool {
	if w.err != nil {
		return false
	}
	i := w.pos
	for i < len(w.line) && (w.line[i] == ' ' || w.line[i] == '\t') {
		i++
	}
	start := i
	for i < len(w.line) && w.line[i] != ' ' && w.line[i] != '\t' {
		i++
	}
	w.pos, w.at, w.word = i, start, w.line[start:i]
	return start < i
}

// peek is the word after the current one, "" at the end.
func (w *words) peek() string {
	ahead := *w
	ahead.next()
	return ahead.word
}

// value moves to the word after option, which is its value.
func (w *words) value() (string, bool) {
	option := w.word
	if w.next() {
		return w.word, true
	}
	w.fail("%s has no value", option)
	return "", false
}

// fail makes the current word the culprit.
func (w *words) fail(format string, args ...any) {
	if w.err != nil {
		return
	}
	why := fmt.Sprintf(format, args...)
	if w.kind != "" {
		why = w.kind + ": " + why
	}
	w.err = &SyntaxError{Line: w.line, Word: w.word, Offset: w.at, Why: why}
}

// missing fails without a culprit.
func (w *words) missing(format string, args ...any) {
	w.word, w.at = "", len(w.line)
	w.fail(format, args...)
}

// unmodelled gives up on a clause that tc(8) knows and this package does not.
func (w *words) unmodelled(what string) {
	if w.err == nil {
		w.err = fmt.Errorf("%s %q: %w", what, w.word, ErrUnknown)
	}
}

// unknown refuses the current word as an option.
func (w *words) unknown() { w.fail("unknown option %q", w.word) }

// read puts the value of the current option through parse into dst.
func read[T any](w *words, dst *T, parse func(string) (T, error)) {
	option := w.word
	s, ok := w.value()
	if !ok {
		return
	}
	v, err := parse(s)
	if err != nil {
		why := err.Error()
		if !strings.HasPrefix(why, option+" ") {
			why = option + ": " + why
		}
		w.fail("%s", why)
		return
	}
	*dst = v
}

// readOpt is read for a value whose presence matters.
func readOpt[T comparable](w *words, dst *Opt[T], parse func(string) (T, error)) {
	var v T
	read(w, &v, parse)
	if w.err == nil {
		*dst = Some(v)
	}
}

// complete is the first of names that word abbreviates, or word itself: tc(8)
// takes any beginning of some words, in the order in which it compares them.
func complete(word string, names ...string) string {
	for _, name := range names {
		if strings.HasPrefix(name, word) {
			return name
		}
	}
	return word
}

// parseUint reads a number as strtoul(3) does for the base: 10 or 16, or 0 for
// decimal, 0x… and octal 0….
func parseUint(s string, base int, largest uint64) (uint64, error) {
	digits := s
	switch {
	case len(s) > 2 && (s[:2] == "0x" || s[:2] == "0X") && base != 10:
		digits, base = s[2:], 16
	case base == 0 && len(s) > 1 && s[0] == '0':
		digits, base = s[1:], 8
	case base == 0:
		base = 10
	}
	v, err := strconv.ParseUint(digits, base, 64)
	if err == nil && v <= largest {
		return v, nil
	}
	if errors.Is(err, strconv.ErrRange) || err == nil {
		return 0, fmt.Errorf("%q: more than %d", s, largest)
	}
	return 0, fmt.Errorf("%q: want a whole number, 0 or more", s)
}

func uint32Dec(s string) (uint32, error) {
	v, err := parseUint(s, 10, math.MaxUint32)
	return uint32(v), err
}

func uint32Any(s string) (uint32, error) {
	v, err := parseUint(s, 0, math.MaxUint32)
	return uint32(v), err
}

func uint32Hex(s string) (uint32, error) {
	v, err := parseUint(s, 16, math.MaxUint32)
	if err != nil {
		return 0, fmt.Errorf("%q: want a hex number", s)
	}
	return uint32(v), nil
}

func uint16Dec(s string) (uint16, error) {
	v, err := parseUint(s, 10, math.MaxUint16)
	return uint16(v), err
}

// int32In reads a whole number between low and high.
func int32In(low, high int64) func(string) (int32, error) {
	return func(s string) (int32, error) {
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil || v < low || v > high {
			return 0, fmt.Errorf("%q: want a whole number from %d to %d", s, low, high)
		}
		return int32(v), nil
	}
}

// nanoTime reads a time in places where tc(8) takes a bare number as
// nanoseconds; at most 32 bits of them.
func nanoTime(s string) (time.Duration, error) {
	t, err := parseDuration(s, time.Nanosecond)
	if err == nil && t > math.MaxUint32 {
		return 0, fmt.Errorf("time %q: more than %v", s, time.Duration(math.MaxUint32))
	}
	return t, err
}

// sizeAndCell reads SIZE or SIZE/CELL. The cell, a power of two, is checked and
// dropped: it only shapes the rate table, which the kernel has not used since
// 3.8 and does not report.
func sizeAndCell(s string) (uint32, error) {
	size, cell, ok := strings.Cut(s, "/")
	if ok {
		if c, err := uint32Any(cell); err != nil || c == 0 || c&(c-1) != 0 {
			return 0, fmt.Errorf("cell size %q: want a power of two", cell)
		}
	}
	return ParseSize(size)
}
