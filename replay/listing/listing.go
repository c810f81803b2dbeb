// Package listing has what the listings for people have in common: colours, and words for some things.
package listing

import (
	"fmt"
	"strings"

	"lqosd/bakery"
)

// Palette colours the signs of a listing; the zero value doesn't.
type Palette struct{ Added, Removed, Changed, Title, Off string }

// ANSI gives the palette for terminals.
func ANSI() Palette { return Palette{"\x1b[32m", "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[0m"} }

// Mapping is a mapping in one line.
func Mapping(m bakery.Mapping) string {
	return fmt.Sprintf("%s → %s cpu %d%s", m.Prefix, m.Handle, m.CPU, Direction(m.Upload))
}

// Direction is what tells a mapping for uploads from others.
func Direction(upload bool) string {
	if upload {
		return " upload"
	}
	return ""
}

// Count is "1 site", "3 sites", "2 classes".
func Count(n int, noun string) string {
	if strings.HasSuffix(noun, "s") {
		return Amount(n, "", noun, noun+"es")
	}
	return Amount(n, "", noun, noun+"s")
}

// Amount is "1 site", "3 more sites".
func Amount(n int, more, one, many string) string {
	noun := many
	if n == 1 {
		noun = one
	}
	return fmt.Sprintf("%d %s%s", n, more, noun)
}
