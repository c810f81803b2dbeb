package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// event is one line of `go test -json`, as `go doc test2json` describes it, or of `go build -json`.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

// test names one test of one package.
type test struct{ pkg, name string }

// summary adds up what the events say.
type summary struct {
	w       io.Writer
	output  map[test][]string // of tests that have not ended; of a package under the name ""
	skipped []string
	running map[string]bool // packages that have begun and not ended
	ranOut  map[string]bool // of those: their only failure is a fuzz target's whose time was over

	passed, failed, packages, failedPackages int
}

func newSummary(w io.Writer) *summary {
	return &summary{w: w, output: map[test][]string{}, running: map[string]bool{}, ranOut: map[string]bool{}}
}

// read takes events up to the end of r. A line that is no event is printed as it is.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			s.line(line)
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("reading test events: %w", err)
		}
	}
}

func (s *summary) line(line string) {
	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Action == "" {
		s.printf("%s", line)
		return
	}
	id := test{e.Package, e.Test}
	switch e.Action {
	case "start":
		s.running[e.Package] = true
		delete(s.ranOut, e.Package)
	case "output":
		s.output[id] = append(s.output[id], e.Output)
	case "build-output":
		s.printf("%s", e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(id, e.Action)
		}
		delete(s.output, id)
	}
}

func (s *summary) endTest(id test, verdict string) {
	s.printf("%s", fuzzLine(id, s.output[id]))
	if verdict == "fail" && ranOut(s.output[id]) {
		_, spoilt := s.ranOut[id.pkg]
		s.ranOut[id.pkg] = !spoilt || s.ranOut[id.pkg]
		verdict = "pass"
	}
	switch verdict {
	case "pass":
		s.passed++
	case "fail":
		s.failed++
		s.ranOut[id.pkg] = false
		s.printf("%s", strings.Join(s.output[id], ""))
	case "skip":
		s.skipped = append(s.skipped, fmt.Sprintf("%s %s: %s", id.pkg, id.name, reason(s.output[id])))
	}
}

func (s *summary) endPackage(e event) {
	delete(s.running, e.Package)
	if e.Action == "fail" && s.ranOut[e.Package] {
		e.Action = "pass"
	}
	switch e.Action {
	case "pass":
		s.packages++
		s.printf("ok    %s  %.1fs\n", e.Package, e.Elapsed)
	case "fail":
		s.packages++
		s.failedPackages++
		for id, output := range s.output { // of tests that never ended: a panic, a time limit
			if id.pkg == e.Package {
				s.printf("%s", strings.Join(output, ""))
				delete(s.output, id)
			}
		}
		s.printf("FAIL  %s  %.1fs\n", e.Package, e.Elapsed)
	}
}

// finish prints the total, and says whether tests ran and all was well.
func (s *summary) finish() bool {
	for _, name := range slices.Sorted(maps.Keys(s.running)) { // go test was killed
		s.packages++
		s.failedPackages++
		s.printf("FAIL  %s  it never ended\n", name)
	}
	for _, line := range s.skipped {
		s.printf("skipped: %s\n", line)
	}
	s.printf("%d packages, %d of them failed\n", s.packages, s.failedPackages)
	s.printf("tests: %d passed, %d failed, %d skipped\n", s.passed, s.failed, len(s.skipped))
	return s.packages > 0 && s.failed == 0 && s.failedPackages == 0
}

func (s *summary) printf(format string, args ...any) { _, _ = fmt.Fprintf(s.w, format, args...) }

// reason is the first line of a skipped test's output that the test itself wrote.
func reason(output []string) string {
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "--- ") {
			return line
		}
	}
	return "no reason given"
}
