package lqosconf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// unknown names all keys and tables that lqosd doesn't know, in the order of the file.
func (d document) unknown() (names []string) {
	for name, v := range d.values {
		table, isTable := v.(map[string]any)
		switch {
		case slices.Contains(tables, name) && isTable:
			for key := range table {
				if full := name + "." + key; !isKey(full) {
					names = append(names, full)
				}
			}
		case !slices.Contains(tables, name) && !isKey(name):
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(d.offsets[a], d.offsets[b]), cmp.Compare(a, b))
	})
	return names
}

// warnings are about the unknown keys and tables: slips, and keys of [bakery], where only a slip can be unknown, one by one; those
// of others in one line.
func (d document) warnings() []Warning {
	var warnings []Warning
	var foreign []string
	for _, name := range d.unknown() {
		switch slip := d.slip(name); {
		case slip != nil:
			warnings = append(warnings, Warning(slip.Error()))
		case strings.HasPrefix(name, "bakery."):
			warnings = append(warnings, Warning(d.noKey(name, "docs/config.md lists the keys").Error()))
		case d.has(name):
			foreign = append(foreign, "["+printable(name)+"]")
		default:
			foreign = append(foreign, printable(name))
		}
	}
	if len(foreign) > 0 {
		warnings = append(warnings, Warning(fmt.Sprintf("%s: ignoring keys that lqosd doesn't use: %s", d.file, strings.Join(foreign, ", "))))
	}
	return warnings
}

// slips are the unknown keys and tables that are nearly known, as problems: they may be why a key is missing.
func (d document) slips() (problems []*Problem) {
	for _, name := range d.unknown() {
		if slip := d.slip(name); slip != nil {
			problems = append(problems, slip)
		}
	}
	return problems
}

// slip is the problem of an unknown name that is nearly known; nil for another.
func (d document) slip(name string) *Problem {
	if !d.has(name) {
		if meant := meantKey(name); meant != "" {
			return d.noKey(name, "is "+meant+" meant?")
		}
		return nil
	}
	for _, table := range tables {
		if !d.has(table) && slipped(name, table) {
			p := d.problem(name, "is no table of lqosd and has no effect: is ["+table+"] meant?", "")
			p.Key = "[" + printable(name) + "]"
			return p
		}
	}
	return nil
}

func (d document) noKey(name, advice string) *Problem {
	p := d.problem(name, "is no key of lqosd and has no effect: "+advice, "")
	p.Key = printable(name)
	return p
}

// maxSlip is how many letters of a name may be wrong, missing or too many for it to be a slip.
const maxSlip = 2

func slipped(name, known string) bool { return distance(strings.ToLower(name), known) <= maxSlip }

// meantKey is the key of the same table that an unknown one is nearly called, or the one of another table that is called the
// same; "" if there is none.
func meantKey(name string) string {
	table, key := split(name)
	for _, k := range keys {
		if t, _ := split(k.name); t == table && slipped(name, k.name) {
			return k.name
		}
	}
	for _, k := range keys {
		if _, bare := split(k.name); bare == key {
			return k.name
		}
	}
	return ""
}

// split parts the full name of a key into its table, "" for none, and its own name.
func split(name string) (table, key string) {
	if table, key, nested := strings.Cut(name, "."); nested {
		return table, key
	}
	return "", name
}

// distance is the edit distance of Levenshtein, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
