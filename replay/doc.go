// Package replay folds any prefix of an event log, offline, and tells about it:
// what was asked when, what the tree looked like, what it would be rendered as, what
// differs between two moments or from a file, and whether the log is whole.
//
//	LOG directory ──▶ Source ──▶ bakery.Fold ──▶ Tree at a moment
//	                    │                          │
//	                 entries, statistics        render, print, diff ──▶ text, JSON, Markdown, …
//
// It reads; it has no way to reach a kernel or to change a log. The command
// bakery-replay is its user.
package replay
