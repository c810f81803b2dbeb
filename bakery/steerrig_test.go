package bakery_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
)

// steerRig is a bakery that programs a fake kernel and a fake dataplane, in a bubble.
type steerRig struct {
	*applyRig
	d     *kerneltest.Dataplane
	roles bakery.Roles
}

// inSteering runs body with a bakery on eth1 (down) and eth0 (up).
func inSteering(t *testing.T, body func(t *testing.T, r *steerRig), edit ...func(*bakery.Options)) {
	t.Helper()
	inSteeringOf(t, twoLinks, body, edit...)
}

func inSteeringOf(t *testing.T, s bakery.Setup, body func(t *testing.T, r *steerRig), edit ...func(*bakery.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newSteerRig(t, s, edit...)
		body(t, r)
		r.neverBroken()
	})
}

func newSteerRig(t testing.TB, s bakery.Setup, edit ...func(*bakery.Options)) *steerRig {
	t.Helper()
	var links []kerneltest.Link
	for _, name := range s.Links() {
		links = append(links, kerneltest.Link{Name: name, TxQueues: 64})
	}
	k := kerneltest.New(links...)
	r := &steerRig{d: kerneltest.NewDataplane(k, s.Roles()), roles: s.Roles()}
	with := func(o *bakery.Options) { o.Dataplane = r.d }
	r.applyRig = newApplyRig(t, s, k, append([]func(*bakery.Options){with}, edit...)...)
	return r
}

// neverBroken wants no entry ever to have pointed to a class that wasn't there.
func (r *steerRig) neverBroken() {
	r.t.Helper()
	for _, b := range r.d.Broken() {
		r.t.Error(b)
	}
}

// steered wants the dataplane to have what the mappings ask for, as far as the kernel has
// the classes.
func (r *steerRig) steered() {
	r.t.Helper()
	if d := r.unsteered(); d != "" {
		r.t.Errorf("the dataplane differs from the mappings:\n%s", d)
	}
}

func (r *steerRig) unsteered() string {
	want, _ := r.tree().Steers(r.roles, func(link string, class tc.Handle) bool {
		_, ok := r.k.State(link).Class(link, class)
		return ok
	})
	return cmp.Diff(steerLines(want), steerLines(r.d.Entries()))
}

func steerLines(steers []tc.Steer) []string {
	lines := []string{}
	for _, s := range steers {
		lines = append(lines, s.String())
	}
	return lines
}

// has wants these entries, one a line.
func (r *steerRig) has(want ...string) {
	r.t.Helper()
	if d := cmp.Diff(strings.Join(want, "\n"), strings.Join(steerLines(r.d.Entries()), "\n")); d != "" {
		r.t.Errorf("entries: %s", d)
	}
}

// steers wants the entries that were written since the last call.
func (r *steerRig) steers(want ...string) {
	r.t.Helper()
	got := r.d.Writes()
	r.d.Reset()
	if d := cmp.Diff(strings.Join(want, "\n"), strings.Join(got, "\n")); d != "" {
		r.t.Errorf("entries written: %s", d)
	}
}

// mapped is the small network with two addresses, all of it applied.
func (r *steerRig) mapped() {
	r.t.Helper()
	r.must(smallNetwork()...)
	r.must(mapTo("10.0.0.5", "1:5"), mapTo("10.0.0.6", "1:6"))
	r.applied()
	r.quiet(time.Second) // the links were read again since somebody watches
	r.d.Reset()
	r.k.Reset()
}

func steerOf(address, class string, up bool) tc.Steer {
	m := mapTo(address, class)
	return tc.Steer{Prefix: prefixOf(address), Upload: up, Class: tc.Handle(m.Handle), Circuit: 8}
}
