// Package diff tells in what two trees differ, in the words of people who run a network: which site or
// circuit has gone, come, changed or moved; and writes that as text, JSON, Markdown and for CI systems.
//
//	two moments of a log ─┐
//	a log and tc's files  ├─▶ Report ─▶ OnLink, Select ─▶ Write
//	a log and a kernel  ──┘
package diff
