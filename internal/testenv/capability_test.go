package testenv

import (
	"errors"
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
