package tc

import (
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/internal/testenv"
)

// inNamespace runs a shell script in a network namespace of its own, with a
// veth v0 of four queues and its peer v1, and returns what it prints.
func inNamespace(t *testing.T, script string) string {
	t.Helper()
	testenv.Need(t, testenv.Root, testenv.Netns, testenv.TC)
	cmd := exec.Command("unshare", "-n", "sh")
	cmd.Stdin = strings.NewReader("ip link add v0 numtxqueues 4 numrxqueues 4 type veth peer name v1 && ip link set v0 up\n" + script)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// batch is a tc script as a shell command; warnings are not of interest here.
func batch(lines ...string) string {
	return "tc -batch - <<'EOF' 2>&1 | grep -v Warning\n" + strings.Join(lines, "\n") + "\nEOF\n"
}

// kernelTree has what this kernel has: mq, htb, tbf and fifos, at all speeds.
func kernelTree(t testing.TB) *State {
	lines := []string{"qdisc add dev v0 root handle 7fff: mq", "qdisc add dev v0 parent 7fff:1 handle 1: htb default 2",
		"qdisc add dev v0 parent 7fff:2 handle 2: htb r2q 100", "qdisc add dev v0 clsact"}
	for i, rate := range []string{"8kbit", "10kbit", "64kbit", "1001kbit", "3333333bit", "20mbit", "37mbit", "100mbit",
		"999mbit", "1234560kbit", "5gbit", "10gbit", "13gbit", "34360mbit", "40gbit", "100gbit"} {
		for q := 1; q <= 2; q++ {
			lines = append(lines, fmt.Sprintf("class add dev v0 parent %d: classid %d:%x htb rate %s", q, q, 0x10+i, rate),
				fmt.Sprintf("class add dev v0 parent %d:%x classid %d:%x htb rate %s ceil 100gbit quantum 1522 prio %d", q, 0x10+i, q, 0x50+i, rate, i),
				fmt.Sprintf("class add dev v0 parent %d: classid %d:%x htb rate %s burst 10k cburst 100k mpu 64 overhead 10", q, q, 0x90+i, rate),
				fmt.Sprintf("class add dev v0 parent %d: classid %d:%x htb rate 1mbit ceil %s mtu 9000 linklayer atm", q, q, 0xd0+i, rate))
		}
	}
	lines = append(lines, "qdisc add dev v0 parent 1:d1 handle 8001: pfifo", "qdisc add dev v0 parent 1:d2 handle 8002: bfifo",
		"qdisc add dev v0 parent 1:d3 handle 8003: tbf rate 3mbit burst 10k latency 50ms",
		"qdisc add dev v0 parent 8003:1 handle 8004: pfifo limit 7", "qdisc add dev v0 parent 1:d4 handle 8005: bfifo limit 100k")
	return parseState(t, strings.Join(lines, "\n"))
}

// TestKernelShowsCanonical compares every number that `tc -d class show` shows
// with what Canonical says.
func TestKernelShowsCanonical(t *testing.T) {
	s := kernelTree(t)
	out := inNamespace(t, batch(Script(s)...)+"tc -d class show dev v0\n")
	var want, got []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "class htb") {
			got = append(got, strings.TrimSpace(regexp.MustCompile(` level \d+| leaf [0-9a-f]+:`).ReplaceAllString(line, "")))
		}
	}
	canonical := Canonical(s, Host{})
	for c := range canonical.Classes("v0") {
		want = append(want, shownClass(c, canonical.link("v0").hasChildren(c.ID)))
	}
	slices.Sort(want)
	slices.Sort(got)
	if d := cmp.Diff(want, got); d != "" || len(got) == 0 {
		t.Error(d)
	}
}

// shownClass is a line of `tc -d class show`.
func shownClass(c Class, inner bool) string {
	s := fmt.Sprintf("class htb %v parent %v ", c.ID, c.Parent)
	if c.Parent.Minor() == 0 {
		s = fmt.Sprintf("class htb %v root ", c.ID)
	}
	if !inner {
		s += fmt.Sprintf("prio %d quantum %d ", c.HTB.Prio, c.HTB.Quantum)
	}
	s += "rate " + shownRateText(c.HTB.Rate) + " "
	if c.HTB.Overhead != 0 {
		s += fmt.Sprintf("overhead %d ", c.HTB.Overhead)
	}
	var h Host
	return s + fmt.Sprintf("ceil %s linklayer %v burst %s/1 mpu %db cburst %s/1 mpu %db", shownRateText(c.HTB.Ceil), c.HTB.LinkLayer,
		shownSizeText(h.shownSize(c.HTB.Rate, c.HTB.Burst)), c.HTB.MPU, shownSizeText(h.shownSize(c.HTB.Ceil, c.HTB.Cburst)), c.HTB.MPU)
}

func shownRateText(r Rate) string {
	i := 0
	for ; i < 4 && r >= 1000 && (r%1000 == 0 || r >= 1000*1000); i++ {
		r /= 1000
	}
	return fmt.Sprintf("%d%sbit", r, []string{"", "K", "M", "G", "T"}[i])
}

func shownSizeText(size uint32) string {
	near := func(unit, slack float64) (float64, bool) {
		n := math.RoundToEven(float64(size) / unit)
		return n, float64(size) >= unit && math.Abs(unit*n-float64(size)) < slack
	}
	if n, ok := near(1<<20, 1024); ok {
		return fmt.Sprintf("%gMb", n)
	}
	if n, ok := near(1<<10, 16); ok {
		return fmt.Sprintf("%gKb", n)
	}
	return fmt.Sprintf("%db", size)
}

// TestCanonicalScriptIsTheSame: what we write out in full, and what tc(8) fills
// in, is the same to the kernel.
func TestCanonicalScriptIsTheSame(t *testing.T) {
	s := kernelTree(t)
	show := "tc -d class show dev v0 | sort; tc -d qdisc show dev v0 | sort\n"
	short := inNamespace(t, batch(Script(s)...)+show)
	full := inNamespace(t, batch(Script(Canonical(s, Host{}))...)+show)
	if d := cmp.Diff(short, full); d != "" || !strings.Contains(short, "class htb 2:5f") {
		t.Error(d)
	}
}

// TestParseJSONOfKernel reads back what was built. tc(8) rounds in its text:
// rates here have few digits, and odd bursts are on slow classes.
func TestParseJSONOfKernel(t *testing.T) {
	const exact = "1234560kbit 1234mbit 3333333bit 3333kbit 34360mbit 34gbit"
	script := strings.NewReplacer(strings.Fields(exact)...).Replace(strings.Join(Script(kernelTree(t)), "\n"))
	script = regexp.MustCompile(`(rate \d+[mg]bit) burst 10kb cburst 100kb`).ReplaceAllString(script, "$1")
	script = strings.ReplaceAll(script, " mtu 9000", "") // whose bursts tc(8) shows too coarsely
	s := parseState(t, script+"\nclass change dev v0 classid 1:95 htb rate 20mbit burst 10k cburst 100k")
	out := inNamespace(t, batch(Script(s)...)+"tc -j -d qdisc show dev v0; echo =====; tc -j -d class show dev v0\n")
	qdiscs, classes, _ := strings.Cut(out, "=====")
	got, err := ParseJSON(strings.NewReader(qdiscs), strings.NewReader(classes), "v0")
	if err != nil {
		t.Fatal(err)
	}
	if d := Diff(Canonical(s, Host{}), Canonical(got, Host{})); len(d) != 0 {
		for _, one := range d {
			t.Error(one)
		}
	}
	if got.Len() != s.Len() {
		t.Errorf("%d objects, want %d", got.Len(), s.Len())
	}
}

// TestPlanOnKernel: the kernel takes every plan, and ends up where building from
// nothing leads.
func TestPlanOnKernel(t *testing.T) {
	const base = `
qdisc replace dev v0 root handle 7fff: mq
qdisc add dev v0 parent 7fff:1 handle 1: htb default 2
class add dev v0 parent 1: classid 1:1 htb rate 100mbit
class add dev v0 parent 1:1 classid 1:3 htb rate 10mbit
class add dev v0 parent 1:1 classid 1:4 htb rate 10mbit
class add dev v0 parent 1:3 classid 1:5 htb rate 1mbit
qdisc add dev v0 parent 1:5 handle 8001: pfifo limit 5
qdisc add dev v0 parent 1:4 handle 8002: tbf rate 1mbit burst 10k latency 50ms
qdisc add dev v0 parent 8002:1 handle 8003: pfifo
qdisc add dev v0 clsact
`
	for name, edits := range map[string]string{
		"change":         "class change dev v0 parent 1:3 classid 1:5 htb rate 2mbit\nqdisc change dev v0 parent 1:5 pfifo limit 6",
		"move":           "class replace dev v0 parent 1:4 classid 1:3 htb rate 10mbit",
		"kind":           "qdisc replace dev v0 parent 1:5 handle 8001: bfifo limit 5k",
		"kind, handle":   "qdisc replace dev v0 parent 1:5 handle 8009: bfifo limit 5k",
		"swap handles":   "class delete dev v0 classid 1:5\nqdisc replace dev v0 parent 1:4 handle 8001: pfifo limit 5\nclass add dev v0 parent 1:3 classid 1:6 htb rate 1mbit\nqdisc add dev v0 parent 1:6 handle 8002: pfifo limit 3",
		"first child":    "class add dev v0 parent 1:5 classid 1:6 htb rate 1mbit\nqdisc add dev v0 parent 1:6 handle 8001: pfifo limit 5",
		"last child":     "class delete dev v0 classid 1:5\nqdisc add dev v0 parent 1:3 handle 8001: pfifo limit 5",
		"htb options":    "qdisc replace dev v0 parent 7fff:1 handle 1: htb default 5",
		"root":           "qdisc replace dev v0 root handle 5: htb\nclass add dev v0 parent 5: classid 5:1 htb rate 1mbit",
		"root goes":      "qdisc delete dev v0 root",
		"clsact":         "qdisc delete dev v0 clsact\nqdisc add dev v0 ingress",
		"inside the tbf": "qdisc replace dev v0 parent 8002:1 handle 8003: bfifo limit 9k",
	} {
		t.Run(name, func(t *testing.T) {
			from, to := Canonical(parseState(t, base), Host{}), Canonical(parseState(t, base+edits), Host{})
			show := "tc -d class show dev v0 | grep -v 'class mq' | sort; tc -d qdisc show dev v0 | grep -v ' 0: ' | sort\n"
			var plan []string
			for _, op := range Plan(from, to) {
				plan = append(plan, op.Line())
			}
			want := inNamespace(t, batch(Script(to)...)+show)
			got := inNamespace(t, batch(Script(from)...)+batch(plan...)+show)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s\nplan:\n%s", d, strings.Join(plan, "\n"))
			}
		})
	}
}

// TestTcAgrees asks tc(8) whether it takes what we take. It parses before it
// asks the kernel, and ends with 1 if it does not like what it reads.
func TestTcAgrees(t *testing.T) {
	lines := slices.Clone(optionPool)
	for _, c := range classPool {
		if c != "rate 0bit" {
			lines = append(lines, "class htb "+c)
		}
	}
	lines = append(lines, "mq", "mq x", "cake rtx", "cake rtt", "cake rtt 5x", "cake lan metro", "cake lan rtt 5", "cake overhead 257",
		"cake overhead -65", "cake mpu 257", "cake ethernet", "cake pppoe-ptm wash", "cake DIFFSERV4", "cake bandwidth 5qbit",
		"cake bandwidth 20MBit", "cake bandwidth 1e3kbit", "cake memlimit 5x", "cake fwmark zz", "cake nat 5", "cake diff",
		"fq_codel lim 5", "fq_codel limit 5x", "fq_codel limit -1", "fq_codel ce_threshold_selector 5", "fq_codel drop_batch 0x10",
		"codel flows 5", "fq limit", "fq horizon_drop horizon_cap", "fq maxrate 5", "fq refill_delay 1s low_rate_threshold 5mbit",
		"pfifo lim 5", "pfifo limit 1k", "bfifo limit x", "tbf rate 1mbit", "tbf rate 1mbit burst 5k", "tbf rate 1mbit burst 5k limit 5k latency 5",
		"tbf rate 1mbit bur 5k lat 5ms", "tbf rate 1mbit burst 5k limit 5k peakrate 2mbit", "tbf rate 1mbit burst 10k/3 limit 5k", "tbf burst 5k/8 rate 1mbit limit 5k",
		"sfq limit 1", "sfq ecn", "sfq perturb x", "sfq redflowlimit 1000 max 2000", "sfq redflowlimit 100000 min 9 max 9",
		"netem delay 5", "netem del 5ms", "netem loss 101%", "netem loss 5", "netem loss", "netem reorder 5%", "netem gap 5", "netem ecn", "netem loss 1% ecn",
		"netem distribution normal", "netem loss state", "netem loss random 5% 6%", "netem slot 5 6 packets 5 bytes 6", "netem rate 5mbit -4 5 -6",
		"htb r 5", "htb def 1f", "htb default zz", "htb r2q -1", "htb debug 123", "htb off", "htb x",
		"class htb", "class htb ceil 5mbit", "class htb rate 1mbit p 5", "class htb rate 1mbit rate 2mbit", "class htb rate 1mbit slot 5",
		"class htb rate 1mbit linklayer a", "class htb rate 1mbit linklayer ppp", "class htb rate 1mbit c 5k", "class htb rate 1mbit ce 5mbit",
		"class htb rate 1mbit mpu 65536", "class htb rate 1mbit quantum 5k", "class htb ra 5mbit", "class htb rate 1mbit maxburst 5k cbuffer 6k")
	var script strings.Builder
	for i, words := range lines {
		fmt.Fprintf(&script, "tc %s >/dev/null 2>&1 </dev/null; echo %d $?\n", tcLine(words), i)
	}
	for result := range strings.Lines(inNamespace(t, script.String())) {
		var i, code int
		if _, err := fmt.Sscan(result, &i, &code); err != nil {
			t.Fatal(result, err)
		}
		_, err := ParseLine(tcLine(lines[i]))
		if (err == nil) != (code == 0 || code == 2) {
			t.Errorf("%s: tc(8) ends with %d, ParseLine says %v", lines[i], code, err)
		}
	}
}

func tcLine(words string) string {
	if options, isClass := strings.CutPrefix(words, "class "); isClass {
		return "class add dev v1 parent 1: classid 1:1 " + options
	}
	return "qdisc replace dev v1 root " + words
}
