package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// planted is a fuzz target with a fault that only inputs made by mutation reach.
const planted = `package planted

import "testing"

func FuzzPlanted(f *testing.F) {
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
