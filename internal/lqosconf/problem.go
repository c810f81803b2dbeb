package lqosconf

import (
	"fmt"
	"strings"
)

// Problem is one thing in a configuration file that keeps lqosd from using it.
type Problem struct {
	File         string
	Line, Column int    // from 1, in bytes; both 0 when the problem is that something is nowhere in the file
	Key          string // the full name, for example "queues.default_sqm"; "" for a file that isn't TOML
	Text         string // what is wrong
	Allowed      string // what would be right; "" where Text says it
}

// Error is "file:line:column: key text; allowed: …" in one line.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + " ")
	}
	b.WriteString(p.Text)
	if p.Allowed != "" {
		b.WriteString("; allowed: " + p.Allowed)
	}
	return b.String()
}
