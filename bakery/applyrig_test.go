package bakery_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
)

const (
	settle    = time.Second
	settleMax = 10 * time.Second
)

// applyRig is a bakery that programs a fake kernel, in a bubble in which time is fake too.
type applyRig struct {
	*rig
	k *kerneltest.Fake
}

// inApplyMode runs body with a bakery on the links eth1 (down) and eth0 (up).
func inApplyMode(t *testing.T, body func(t *testing.T, r *applyRig), edit ...func(*bakery.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		body(t, newApplyRig(t, twoLinks, kerneltest.New(kerneltest.Link{Name: "eth1"}, kerneltest.Link{Name: "eth0"}), edit...))
	})
}

func newApplyRig(t testing.TB, s bakery.Setup, k *kerneltest.Fake, edit ...func(*bakery.Options)) *applyRig {
	t.Helper()
	dir := t.TempDir()
	r := &applyRig{rig: &rig{t: t, dir: dir}, k: k}
	r.o = bakery.Options{
		OpenLog: func() (bakery.Log, error) { return openLog(dir) },
		Setup:   func() (bakery.Setup, error) { return s, nil },
		Now:     time.Now,
		Kernel:  k,
		Settle:  settle, SettleMax: settleMax,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, e := range edit {
		e(&r.o)
	}
	r.start()
	return r
}

// reporting makes drift be reported only.
func reporting(o *bakery.Options) { o.Drift = bakery.DriftReport }

// applied waits until the kernel has everything.
func (r *applyRig) applied() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.h.WaitApplied(ctx, 0, r.tree().Seq); err != nil {
		r.t.Fatal(err)
	}
}

// quiet waits until nothing is left to do at the moment, or d has passed besides.
func (r *applyRig) quiet(d time.Duration) *bakery.KernelStatus {
	r.t.Helper()
	<-time.After(d) // of the bubble
	synctest.Wait()
	return r.h.Kernel()
}

// inSync wants the kernel to have what the tree asks for.
func (r *applyRig) inSync() {
	r.t.Helper()
	r.differs("")
}

// differs wants the differences between the tree and the kernel, one a line.
func (r *applyRig) differs(want string) {
	r.t.Helper()
	if d := cmp.Diff(want, r.difference()); d != "" {
		r.t.Errorf("the kernel differs from the tree:\n%s", d)
	}
}

// difference are the differences between the tree and the kernel, one a line.
func (r *applyRig) difference() string {
	r.t.Helper()
	var got []string
	tree := r.tree()
	for _, link := range []string{"eth0", "eth1"} {
		for _, d := range tc.Diff(tc.Canonical(tree.State().Only(link), r.k.Host()), r.k.State(link)) {
			got = append(got, d.String())
		}
	}
	slices.Sort(got)
	return strings.Join(got, "\n")
}

// wrote wants the writes since the last call.
func (r *applyRig) wrote(want ...string) {
	r.t.Helper()
	got := r.k.Writes()
	r.k.Reset()
	if d := cmp.Diff(want, got, cmp.Transformer("empty", func(s []string) []string { return append([]string{}, s...) })); d != "" {
		r.t.Errorf("writes: %s", d)
	}
}

func (r *applyRig) meddle(lines ...string) {
	r.t.Helper()
	if err := r.k.Meddle(lines...); err != nil {
		r.t.Fatal(err)
	}
}

// drift gives the fates of what drifted, oldest first.
func (r *applyRig) drift() []string {
	var all []string
	for _, d := range r.h.Kernel().Drift {
		all = append(all, string(d.Fate)+": "+d.Text)
	}
	return all
}

func (r *applyRig) drifted(want ...string) {
	r.t.Helper()
	if d := cmp.Diff(want, r.drift()); d != "" {
		r.t.Errorf("drift: %s", d)
	}
}

// aSite, aCircuit and aLeaf are commands for queue 1 of eth1.
func aSite(minor string, mbps float64) bakery.Command {
	return bakery.AddStructuralHTBClass{Link: "eth1", Parent: "1:1", ClassID: minor, RateMbps: mbps, CeilMbps: mbps, SiteHash: 7, R2Q: 10}
}

func aCircuit(parent, minor string, mbps float64) bakery.Command {
	comment := "C" + minor
	return bakery.AddCircuitHTBClass{Link: "eth1", Parent: parent, ClassID: minor, RateMbps: mbps, CeilMbps: mbps, CircuitHash: 8, Comment: &comment, R2Q: 10}
}

func aLeaf(minor uint32, words string) bakery.Command {
	return bakery.AddCircuitQdisc{Link: "eth1", ParentMajor: 1, ParentMinor: minor, CircuitHash: 8, SQM: strings.Fields(words)}
}

// smallNetwork is two sites with a circuit each.
func smallNetwork() []bakery.Command {
	return []bakery.Command{bakery.MqSetup{}, aSite("3", 100), aCircuit("1:3", "5", 10), aLeaf(5, "cake diffserv4"),
		aSite("4", 100), aCircuit("1:4", "6", 20), aLeaf(6, "cake diffserv4")}
}
