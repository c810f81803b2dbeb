// Command testsum makes the output of `go test -json` readable: one line per package, what failed in full, what was
// skipped and why, and a total. Its exit code is 1 when a test or a package failed, or when none ran, so that it can
// stand at the end of a pipe.
//
//	go test -json ./... | testsum
package main

import (
	"fmt"
	"os"
)

func main() {
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
	if !s.finish() {
		os.Exit(1)
	}
}
