// Package tidy holds the rules of this repository that a compiler can't check, as Go tests.
//
// A [Rule] looks at a [Tree], the files of a checkout, and returns [Finding]s; `go test ./internal/tidy` applies all of
// [Rules] to this repository. For every rule testdata holds a small tree that breaks it, with the findings it must
// give, so that a rule that stopped finding things fails.
//
// A rule about a folder that isn't there finds nothing.
package tidy
