package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// planted is a fuzz target with a fault that only inputs made by mutation reach. It doesn't begin its line, so that make fuzz doesn't
// take it for one of ours.
const planted = `package planted

import "testing"

var _ = testing.AllocsPerRun; func FuzzPlanted(f *testing.F) {
	f.Add([]byte("mill"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 3 && b[0] == 'k' && b[1] == 'i' && b[2] == 'l' {
			t.Fatal("reached")
		}
	})
}
`

// TestTrialFuzzingFinds is the control of what make test does with its fuzz targets: a planted fault is found and turns
// the sum red.
func TestTrialFuzzingFinds(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module planted\n\ngo 1.24\n", "planted_test.go": planted} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "test", "-vet=off", "-json", "-run", "^$", "-fuzz", "^FuzzPlanted$", "-fuzztime", "120s", "-fuzzminimizetime", "1s", "-parallel", "1", ".")
	cmd.Dir = dir
	events, err := cmd.Output()
	if err == nil {
		t.Fatalf("go test found nothing:\n%s", events)
	}
	var out strings.Builder
	s := newSummary(&out)
	if err := s.read(bytes.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	if s.finish() {
		t.Errorf("the sum is well:\n%s", &out)
	}
	if !strings.Contains(out.String(), "Failing input written to") {
		t.Errorf("the sum doesn't name the input:\n%s", &out)
	}
	t.Log("figure: fuzzing, control: a planted fault | 1 | found out")
}

func TestSummaryOfFuzzing(t *testing.T) {
	for _, tc := range []sumCase{
		{"a fuzz target passes", fuzzed("pass", "--- PASS: FuzzA (3.44s)"), `fuzz  p FuzzA  3s, execs: 8967 (0/sec), new interesting: 3 (total: 13)
ok    p  3.5s
1 packages, 0 of them failed
tests: 1 passed, 0 failed, 0 skipped
`, true},
		{"a fuzz target's time ends at a bad moment", fuzzed("fail", "--- FAIL: FuzzA (3.44s)", "    context deadline exceeded"), `fuzz  p FuzzA  3s, execs: 8967 (0/sec), new interesting: 3 (total: 13)
ok    p  3.5s
1 packages, 0 of them failed
tests: 1 passed, 0 failed, 0 skipped
`, true},
		{"a fuzz target finds something", fuzzed("fail", "fuzz: minimizing 33-byte failing input file", "--- FAIL: FuzzA (3.44s)", "    context deadline exceeded"), `fuzz  p FuzzA  3s, execs: 8967 (0/sec), new interesting: 3 (total: 13)
=== RUN   FuzzA
fuzz: elapsed: 0s, gathering baseline coverage: 0/10 completed
fuzz: elapsed: 3s, execs: 8967 (0/sec), new interesting: 3 (total: 13)
fuzz: minimizing 33-byte failing input file
--- FAIL: FuzzA (3.44s)
    context deadline exceeded
FAIL  p  3.5s
1 packages, 1 of them failed
tests: 0 passed, 1 failed, 0 skipped
`, false},
		{"a test waits too long beside a fuzz target", `
{"Action":"start","Package":"p"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- FAIL: TestB (0.00s)\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    context deadline exceeded\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
` + strings.TrimPrefix(fuzzed("fail", "--- FAIL: FuzzA (3.44s)", "    context deadline exceeded"), "\n"+`{"Action":"start","Package":"p"}`+"\n"), `--- FAIL: TestB (0.00s)
    context deadline exceeded
fuzz  p FuzzA  3s, execs: 8967 (0/sec), new interesting: 3 (total: 13)
FAIL  p  3.5s
1 packages, 1 of them failed
tests: 1 passed, 1 failed, 0 skipped
`, false},
	} {
		t.Run(tc.name, tc.check)
	}
}

// fuzzed is a run of a fuzz target with this verdict, which says these lines at its end.
func fuzzed(verdict string, last ...string) string {
	lines := []string{"=== RUN   FuzzA", "fuzz: elapsed: 0s, gathering baseline coverage: 0/10 completed",
		"fuzz: elapsed: 3s, execs: 8967 (0/sec), new interesting: 3 (total: 13)"}
	events := "\n" + `{"Action":"start","Package":"p"}` + "\n"
	for _, line := range append(lines, last...) {
		events += fmt.Sprintf(`{"Action":"output","Package":"p","Test":"FuzzA","Output":%q}`, line+"\n") + "\n"
	}
	return events + fmt.Sprintf(`{"Action":%[1]q,"Package":"p","Test":"FuzzA"}
{"Action":%[1]q,"Package":"p","Elapsed":3.457}
`, verdict)
}
