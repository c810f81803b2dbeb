package main

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func TestSummary(t *testing.T) {
	for _, tc := range []sumCase{
		{"pass and skip", `
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":1}
{"Action":"output","Package":"p","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: this host lacks vm: no linux.uml\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"skip","Package":"p","Test":"TestC"}
{"Action":"pass","Package":"p","Elapsed":1.25}
{"Action":"skip","Package":"without-tests"}
`, `ok    p  1.2s
skipped: p TestB: b_test.go:7: this host lacks vm: no linux.uml
skipped: p TestC: no reason given
1 packages, 0 of them failed
tests: 1 passed, 0 failed, 2 skipped
`, true},
		{"a test fails", `
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: wrong\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p","Elapsed":0.5}
`, `    a_test.go:7: wrong
FAIL  p  0.5s
1 packages, 1 of them failed
tests: 0 passed, 1 failed, 0 skipped
`, false},
		{"a panic", `
{"Action":"output","Package":"p","Test":"TestA","Output":"panic: oh\n"}
{"Action":"fail","Package":"p","Elapsed":0.5}
`, `panic: oh
FAIL  p  0.5s
1 packages, 1 of them failed
tests: 0 passed, 0 failed, 0 skipped
`, false},
		{"a package doesn't build", `
{"ImportPath":"p","Action":"build-output","Output":"p.go:1:1: expected package\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p","FailedBuild":"p"}
not an event
`, `p.go:1:1: expected package
FAIL  p  0.0s
not an event
1 packages, 1 of them failed
tests: 0 passed, 0 failed, 0 skipped
`, false},
		{"nothing ran", "", "0 packages, 0 of them failed\ntests: 0 passed, 0 failed, 0 skipped\n", false},
	} {
		t.Run(tc.name, tc.check)
	}
}

// sumCase is events of go test, and what is printed of them.
type sumCase struct {
	name, events, want string
	ok                 bool
}

func (tc sumCase) check(t *testing.T) {
	var out strings.Builder
	s := newSummary(&out)
	if err := s.read(strings.NewReader(strings.TrimPrefix(tc.events, "\n"))); err != nil {
		t.Fatal(err)
	}
	if ok := s.finish(); ok != tc.ok {
		t.Errorf("finish() = %v, want %v", ok, tc.ok)
	}
	if diff := cmp.Diff(tc.want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestSummaryOfAPipeThatBreaks(t *testing.T) {
	broken := errors.New("broken")
	if err := newSummary(&strings.Builder{}).read(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("read() = %v, want the reader's error", err)
	}
}

// TestSummaryOfWhatNeverEnds has a go test that was killed.
func TestSummaryOfWhatNeverEnds(t *testing.T) {
	const events = `{"Action":"start","Package":"p"}
{"Action":"start","Package":"q"}
{"Action":"pass","Package":"p","Elapsed":0.5}
{"Action":"pass","Package":"q","Test":"TestB"}
`
	const want = `ok    p  0.5s
FAIL  q  it never ended
2 packages, 1 of them failed
tests: 1 passed, 0 failed, 0 skipped
`
	var out strings.Builder
	s := newSummary(&out)
	if err := s.read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	if s.finish() {
		t.Error("finish() = true")
	}
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}
