package kernel

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lqosd/bakery/tc"
	"lqosd/internal/testenv"
)

// patience is how long a test waits for what the kernel tells at once, on a machine that may have much else to do.
const patience = 2 * time.Minute

// lab is a network namespace with the links v0, of four queues, and its peer v1.
type lab struct {
	*testing.T
	kernel *Kernel
}

// inLab runs body in a lab of its own. Sockets and goroutines that body leaves fail t.
func inLab(t *testing.T, body func(lab)) {
	t.Helper()
	inLabWith(t, defaultLimits, body)
}

// inVMLab is inLab on a kernel that has every kind.
func inVMLab(t *testing.T, body func(lab)) {
	t.Helper()
	testenv.InVM(t, func(t *testing.T) { inLabHere(t, defaultLimits, body) })
}

func inLabWith(t *testing.T, l limits, body func(lab)) {
	t.Helper()
	testenv.InNetns(t, func(t *testing.T) { inLabHere(t, l, body) })
}

// inLabHere makes the lab in the namespace or machine that t runs in.
func inLabHere(t *testing.T, l limits, body func(lab)) {
	t.Helper()
	testenv.Need(t, testenv.TC)
	ignore := goleak.IgnoreCurrent()
	testenv.NoLeakedFDs(t)
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
	run(t, "", "ip", "link", "add", "v0", "numtxqueues", "4", "numrxqueues", "4", "type", "veth", "peer", "name", "v1")
	run(t, "", "ip", "link", "set", "v0", "up")
	k, err := open(l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	body(lab{t, k})
}

// run runs a program and returns what it prints.
func run(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// batch gives lines to tc(8).
func (l lab) batch(lines ...string) {
	l.Helper()
	run(l, strings.Join(lines, "\n")+"\n", "tc", "-batch", "-")
}

// reset removes everything from a link.
func (l lab) reset(link string) {
	for _, top := range []string{"root", "clsact", "ingress"} {
		_ = exec.Command("tc", "qdisc", "del", "dev", link, top).Run() // what isn't there can't be removed
	}
}

// show is what tc(8) shows of a link, sorted.
func (l lab) show(link string) []string {
	l.Helper()
	var lines []string
	for _, what := range []string{"qdisc", "class"} {
		for line := range strings.Lines(run(l, "", "tc", "-d", what, "show", "dev", link)) {
			if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, " 0: ") && !strings.HasPrefix(line, "class mq") {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// ops are the lines as Ops.
func ops(t testing.TB, lines ...string) []tc.Op {
	t.Helper()
	list := make([]tc.Op, len(lines))
	for i, line := range lines {
		op, err := tc.ParseLine(line)
		if err != nil {
			t.Fatal(line, err)
		}
		list[i] = op
	}
	return list
}

// apply applies lines, and fails if one of them does.
func (l lab) apply(lines ...string) {
	l.Helper()
	for i, r := range l.kernel.Apply(l.Context(), ops(l, lines...)) {
		if r.Err != nil {
			l.Fatalf("%s: %v", lines[i], r.Err)
		}
	}
}

// observe observes v0.
func (l lab) observe() tc.Observed {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), time.Minute)
	defer cancel()
	seen, err := l.kernel.Observe(ctx, []string{"v0"}, nil)
	if err != nil {
		l.Fatal(err)
	}
	o, ok := seen["v0"]
	if !ok {
		l.Fatal("v0 wasn't observed")
	}
	return o
}

// hostOf is what Canonical needs to know of v0.
func (l lab) hostOf(o tc.Observed) tc.Host {
	h := l.kernel.Host()
	h.Links = map[string]tc.LinkInfo{"v0": o.LinkInfo}
	return h
}

// wanted is the canonical state that lines lead to.
func wanted(t testing.TB, h tc.Host, lines ...string) *tc.State {
	t.Helper()
	s, bad, err := tc.ParseScript(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	return tc.Canonical(s, h)
}

// differences are what two states have different, one a line.
func differences(want, got *tc.State) string {
	var b strings.Builder
	for _, d := range tc.Diff(want, got) {
		fmt.Fprintln(&b, d)
	}
	return b.String()
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
