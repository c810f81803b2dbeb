package testenv

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// recorder is a testing.TB that keeps the verdict instead of reaching the test framework.
type recorder struct {
	testing.TB
	name     string
	verdict  string
	cleanups []func()
}

func (r *recorder) Helper()          {}
func (r *recorder) Name() string     { return r.name }
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Log(a ...any)     { r.verdict += "log: " + fmt.Sprint(a...) }
func (r *recorder) Fatal(a ...any)   { r.verdict += "fatal: " + fmt.Sprint(a...); runtime.Goexit() }
func (r *recorder) Errorf(f string, a ...any) {
	r.verdict += "error: " + fmt.Sprintf(f, a...)
}
func (r *recorder) Fatalf(f string, a ...any) {
	r.verdict += "fatal: " + fmt.Sprintf(f, a...)
	runtime.Goexit()
}
func (r *recorder) Skipf(f string, a ...any) {
	r.verdict += "skip: " + fmt.Sprintf(f, a...)
	runtime.Goexit()
}

// run calls f with a recorder, in a goroutine that f may end, and then the cleanups, last first.
func (r *recorder) run(f func(testing.TB)) string {
	for _, step := range []func(){func() { f(r) }, r.cleanup} {
		done := make(chan struct{})
		go func() { defer close(done); step() }()
		<-done
	}
	return r.verdict
}

func (r *recorder) cleanup() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}

func TestNeed(t *testing.T) {
	const there, lacking Capability = "there", "lacking"
	probes[there] = func() error { return nil }
	probes[lacking] = func() error { return errors.New("no such thing here") }
	t.Cleanup(func() { delete(probes, there); delete(probes, lacking) })

	was := flag.Lookup("test.short").Value.String()
	t.Cleanup(func() { setShort(t, was) })
	setShort(t, "false")
	for _, tc := range []struct {
		name, require string
		needed        []Capability
		want          string
	}{
		{"nothing needed", "", nil, ""},
		{"there", "", []Capability{there}, ""},
		{"lacking", "", []Capability{there, lacking}, "skip: this host lacks lacking: no such thing here"},
		{"lacking, another required", "there", []Capability{lacking}, "skip: this host lacks lacking: no such thing here"},
		{"lacking and required", "there, lacking", []Capability{lacking}, "fatal: LQOSD_REQUIRE lists lacking, and this host lacks it: no such thing here"},
		{"unknown capability", "", []Capability{"moon"}, `fatal: testenv: no capability is called "moon"`},
		{"unknown requirement", "nets", []Capability{there}, `fatal: LQOSD_REQUIRE: no capability is called "nets"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("LQOSD_REQUIRE", tc.require)
			r := &recorder{}
			if got := r.run(func(tb testing.TB) { Need(tb, tc.needed...) }); got != tc.want {
				t.Errorf("verdict:\n got %q\nwant %q", got, tc.want)
			}
		})
	}
}

// TestShort sets -short for itself and looks at both functions that heed it.
func TestShort(t *testing.T) {
	was := flag.Lookup("test.short").Value.String()
	t.Cleanup(func() { setShort(t, was) })
	const there Capability = "there"
	probes[there] = func() error { return nil }
	t.Cleanup(func() { delete(probes, there) })
	need := func(tb testing.TB) { Need(tb, there) }
	long := func(tb testing.TB) { Long(tb, "64 MiB") }

	for _, tc := range []struct {
		name, short, require string
		call                 func(testing.TB)
		want                 string
	}{
		{"need", "true", "", need, "skip: -short leaves out what needs there"},
		{"need what is required", "true", "there", need, ""},
		{"long", "true", "", long, "skip: -short leaves this out: 64 MiB"},
		{"long, without -short", "false", "", long, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			setShort(t, tc.short)
			t.Setenv("LQOSD_REQUIRE", tc.require)
			if got := (&recorder{}).run(tc.call); got != tc.want {
				t.Errorf("verdict %q, want %q", got, tc.want)
			}
		})
	}
}

func setShort(t *testing.T, value string) {
	t.Helper()
	if err := flag.Set("test.short", value); err != nil {
		t.Fatal(err)
	}
}

// TestProbesExplainThemselves runs each probe of this host: none may panic, and none may fail without a reason.
func TestProbesExplainThemselves(t *testing.T) {
	for c, probe := range probes {
		err := probe()
		if err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Errorf("%s is missing without a reason", c)
		}
		t.Logf("%s: %v", c, err)
	}
}
