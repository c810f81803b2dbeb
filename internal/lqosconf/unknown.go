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

// warnings are about the unknown keys: slips, and those of [bakery], where only a slip can be unknown, one by one; those of
// others in one line.
func (d document) warnings() []Warning {
	var warnings []Warning
	var foreign []string
	for _, name := range d.unknown() {
		switch meant := slipOf(name); {
		case meant != "":
			warnings = append(warnings, Warning(d.slip(name, meant).Error()))
		case strings.HasPrefix(name, "bakery."):
			warnings = append(warnings, Warning(fmt.Sprintf("%s: %s is no key of lqosd and has no effect: docs/config.md lists the keys", d.file, printable(name))))
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

// slips are the unknown keys that are nearly known, as problems: they may be why a key is missing.
func (d document) slips() (problems []*Problem) {
	for _, name := range d.unknown() {
		if meant := slipOf(name); meant != "" {
			problems = append(problems, d.slip(name, meant))
		}
	}
	return problems
}

func (d document) slip(name, meant string) *Problem {
	p := d.problem(name, "is no key of lqosd and has no effect: is "+meant+" meant?", "")
	p.Key = printable(name)
	return p
}

// maxSlip is how many letters of a name may be wrong, missing or too many for it to be a slip.
const maxSlip = 2

// slipOf is the key of the same table that an unknown one in LibreQoS's tables is nearly called; "" if there is none.
func slipOf(name string) string {
	table, _, nested := strings.Cut(name, ".")
	if !nested || !slices.Contains(tables, table) || table == "bakery" {
		return ""
	}
	for _, k := range keys {
		if strings.HasPrefix(k.name, table+".") && distance(strings.ToLower(name), k.name) <= maxSlip {
			return k.name
		}
	}
	return ""
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
