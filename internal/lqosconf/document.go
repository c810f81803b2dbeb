package lqosconf

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// document is a TOML file: its values, and where each key and table stands.
type document struct {
	file    string
	text    []byte
	values  map[string]any
	offsets map[string]int // of keys and tables, in bytes from 0, by full name, its parts joined by dots
}

// parseDocument reads TOML. Its error is a [Problem] with the place of the first fault.
func parseDocument(text []byte, name string) (document, error) {
	doc := document{file: name, text: text, offsets: map[string]int{}}
	err := toml.Unmarshal(text, &doc.values)
	var fault *toml.DecodeError
	switch {
	case errors.As(err, &fault):
		line, column := fault.Position()
		return document{}, &Problem{File: name, Line: line, Column: column, Text: "not TOML: " + strings.TrimPrefix(fault.Error(), "toml: ")}
	case err != nil:
		return document{}, &Problem{File: name, Text: "not TOML: " + strings.TrimPrefix(err.Error(), "toml: ")}
	}
	doc.locate()
	return doc, nil
}

// locate notes where the keys and tables of the text stand. The text is known to be TOML.
func (d document) locate() {
	var p unstable.Parser
	p.Reset(d.text)
	var table []string
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = d.note(nil, e.Key())
		case unstable.KeyValue:
			d.locateKeyValue(table, e)
		}
	}
}

// locateKeyValue notes the place of one key, and of those in it when its value is an inline table.
func (d document) locateKeyValue(table []string, e *unstable.Node) {
	name := d.note(table, e.Key())
	if e.Value().Kind != unstable.InlineTable {
		return
	}
	for it := e.Value().Children(); it.Next(); {
		if it.Node().Kind == unstable.KeyValue {
			d.locateKeyValue(name, it.Node())
		}
	}
}

// note notes the place of a dotted key under table, and of every table that the key goes through for the first time,
// and returns the full name.
func (d document) note(table []string, key unstable.Iterator) []string {
	name := slices.Clone(table)
	start := -1
	for key.Next() {
		if start < 0 {
			start = int(key.Node().Raw.Offset)
		}
		name = append(name, string(key.Node().Data))
		if full := strings.Join(name, "."); !d.located(full) {
			d.offsets[full] = start
		}
	}
	return name
}

func (d document) located(name string) bool {
	_, ok := d.offsets[name]
	return ok
}

// value looks a key up by its full name.
func (d document) value(name string) (v any, ok bool) {
	table, key, nested := strings.Cut(name, ".")
	if !nested {
		v, ok = d.values[name]
		return v, ok
	}
	t, _ := d.values[table].(map[string]any)
	v, ok = t[key]
	return v, ok
}

// has says whether the file has a table of that name.
func (d document) has(table string) bool {
	_, ok := d.values[table].(map[string]any)
	return ok
}

// problem is a [Problem] with the key name, at its place, or at that of its table where the key isn't in the file.
func (d document) problem(name, text, allowed string) *Problem {
	p := &Problem{File: d.file, Key: name, Text: text, Allowed: allowed}
	at := name
	if !d.located(at) {
		at, _, _ = strings.Cut(name, ".")
	}
	if d.located(at) {
		before := d.text[:d.offsets[at]]
		p.Line = 1 + bytes.Count(before, []byte("\n"))
		p.Column = len(before) - bytes.LastIndexByte(before, '\n')
	}
	return p
}

// printable is name, quoted if it would break the line it is printed in.
func printable(name string) string {
	if quoted := fmt.Sprintf("%q", name); quoted != `"`+name+`"` {
		return quoted
	}
	return name
}
