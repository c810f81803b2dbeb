// Package report makes a page of HTML of a log: what happened when, the tree, what differs between
// two moments, and what a kernel has otherwise. The page is one file that loads nothing, and runs
// no script and no style but its own, whatever names clients give to circuits.
package report
