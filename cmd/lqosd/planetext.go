package main

import (
	"cmp"
	"fmt"
	"strings"

	"lqosd/xdp"
)

// rows prints the dataplane for people.
func (s dataplaneStatus) rows(row func(name, format string, args ...any)) {
	row("dataplane", "%s", s.State)
	if s.Status == nil {
		return
	}
	for _, l := range s.Links {
		row("  "+l.Link, "%s; ingress %s; egress %s%s", l.Role, hookText(l.Ingress), hookText(l.Egress), parenthesis(l.Queues.Why))
		if l.Stays != "" {
			row("", "packets stay on the CPU that they come in by: %s", l.Stays)
		}
	}
	if s.CPUs.Why != "" {
		row("  CPUs", "%s", s.CPUs.Why)
	}
	for _, m := range s.Maps {
		row("  "+m.Name, "%d of %d entries", m.Entries, m.Max)
	}
	for _, text := range verdictTexts(s.Verdicts) {
		row("  packets", "%s", text)
	}
	if s.BPFFS.Why != "" {
		row("PROBLEM", "%s", s.BPFFS.Why)
	}
}

// hookText is "native xdp", "tcx", or why nothing is there.
func hookText(h xdp.Hook) string {
	if h.Kind == "" {
		return "nothing: " + cmp.Or(h.Why, "not tried yet")
	}
	text := strings.TrimSpace(string(h.Mode) + " " + h.Kind)
	if h.Fallback != "" {
		text += parenthesis("not native: " + h.Fallback)
	}
	return text
}

// verdictTexts has a line for each hook and direction: "egress down: carried 812, unknown 3".
func verdictTexts(list []xdp.Verdict) []string {
	var lines []string
	for _, hook := range []string{"ingress", "egress"} {
		for _, direction := range []string{"down", "up"} {
			var words []string
			for _, v := range list {
				if v.Hook == hook && v.Direction == direction {
					words = append(words, fmt.Sprintf("%s %d", v.Verdict, v.Packets))
				}
			}
			if words != nil {
				lines = append(lines, fmt.Sprintf("%s %s: %s", hook, direction, strings.Join(words, ", ")))
			}
		}
	}
	return lines
}
