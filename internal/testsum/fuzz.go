package main

import (
	"fmt"
	"slices"
	"strings"
)

// isFuzzing reports a test whose output says that inputs were made for it, not only read from files.
func isFuzzing(output []string) bool {
	return slices.ContainsFunc(output, func(line string) bool { return strings.HasPrefix(line, progress) })
}

// progress begins the lines of a fuzz target that is making inputs.
const progress = "fuzz: elapsed: "

// fuzzLine is the last thing that a fuzz target said of its progress.
func fuzzLine(id test, output []string) string {
	for _, line := range slices.Backward(output) {
		if rest, ok := strings.CutPrefix(line, progress); ok {
			return fmt.Sprintf("fuzz  %s %s  %s\n", id.pkg, id.name, strings.TrimSpace(rest))
		}
	}
	return ""
}

// ranOut reports a fuzz target that failed for nothing but the end of its time, which go test takes for a failure
// where it comes at a bad moment (golang.org/issue/75804). Then that is all that stands below its verdict. A target
// that found something names the input, and one that was about to says that it minimizes it.
func ranOut(output []string) bool {
	if !isFuzzing(output) {
		return false
	}
	at := slices.IndexFunc(output, func(line string) bool { return strings.HasPrefix(line, "--- FAIL: ") })
	if at < 0 {
		return false
	}
	for _, line := range output[:at] {
		if !strings.HasPrefix(line, progress) && !strings.HasPrefix(line, "=== ") {
			return false
		}
	}
	return strings.TrimSpace(strings.Join(output[at+1:], "")) == "context deadline exceeded"
}
