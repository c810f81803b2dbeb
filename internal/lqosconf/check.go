package lqosconf

import (
	"fmt"
	"strconv"
	"strings"
)

// read puts the values of the file into c, and reports those that are missing or not allowed.
func (d document) read(c *Config) []*Problem {
	problems := d.checkTables()
	for _, k := range keys {
		if table, _, nested := strings.Cut(k.name, "."); nested && !d.needs(table) {
			continue
		}
		switch v, ok := d.value(k.name); {
		case ok && !k.set(c, v):
			problems = append(problems, d.problem(k.name, "is "+show(v), k.describe()))
		case !ok && k.required:
			problems = append(problems, d.problem(k.name, "is missing", k.describe()))
		}
	}
	return problems
}

// needs says whether the keys of a table have to be looked at: it is there, or it is the one that can't be left out.
func (d document) needs(table string) bool {
	_, anything := d.values[table]
	return d.has(table) || table == "queues" && !anything
}

// checkTables reports values where a table belongs, and a file that doesn't say which links there are, or says it twice.
func (d document) checkTables() []*Problem {
	var problems []*Problem
	for _, name := range tables {
		if v, ok := d.values[name]; ok && !d.has(name) {
			problems = append(problems, d.problem(name, "is "+show(v), "a table, ["+name+"]"))
		}
	}
	_, bridge := d.values["bridge"]
	_, single := d.values["single_interface"]
	const either = "either [bridge], for two links, or [single_interface], for one link with two VLANs"
	switch {
	case bridge && single:
		problems = append(problems, d.problem("single_interface", "stands beside bridge", either))
	case !bridge && !single:
		problems = append(problems, &Problem{File: d.file, Key: "bridge", Text: "is missing, and so is single_interface", Allowed: either})
	}
	return problems
}

// check looks at what one value alone doesn't tell: default_sqm by leaf, and values that don't go together.
func (d document) check(c Config, leaf LeafCheck) []*Problem {
	var problems []*Problem
	if words := c.Queues.DefaultSQM; words != "" {
		if err := leaf(words); err != nil {
			problems = append(problems, d.problem("queues.default_sqm", fmt.Sprintf("is %q: %v", words, err), aLeaf))
		}
	}
	if b := c.Bridge; b != nil && b.ToNetwork != "" && b.ToNetwork == b.ToInternet {
		problems = append(problems, d.problem("bridge.to_network", "is the same link as bridge.to_internet: "+show(b.ToNetwork),
			"two different links; for one link with two VLANs use [single_interface]"))
	}
	if s := c.SingleInterface; s != nil && s.NetworkVLAN != 0 && s.NetworkVLAN == s.InternetVLAN {
		problems = append(problems, d.problem("single_interface.network_vlan",
			fmt.Sprintf("is the same VLAN as single_interface.internet_vlan: %d", s.NetworkVLAN), "two different VLAN ids"))
	}
	if b := c.Bakery; b.SettleMaxMS < b.SettleMS {
		problems = append(problems, d.problem("bakery.settle_max_ms", fmt.Sprintf("is %d", b.SettleMaxMS),
			fmt.Sprintf("at least bakery.settle_ms, which is %d", b.SettleMS)))
	}
	return problems
}

// describe is what is allowed for the key, with its unit.
func (k key) describe() string {
	if k.unit == "" {
		return k.allowed
	}
	return k.allowed + ", in " + k.unit
}

// show is a value as a message names it.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%q", v)
	case map[string]any:
		return "a table"
	case []any:
		return "a list"
	case float64:
		return showFloat(v)
	default:
		return fmt.Sprint(v)
	}
}

// showFloat is a float as TOML writes it, so that 4.0 is told from the whole number 4.
func showFloat(v float64) string {
	text := strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(v, 'g', -1, 64), "+"))
	if strings.ContainsAny(text, ".en") { // a fraction, an exponent, inf or nan
		return text
	}
	return text + ".0"
}
