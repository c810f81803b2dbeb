package diff

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/replay"
	"lqosd/replay/replaytest"
)

// written is a report in a format, which checkFormat has seen.
func written(t testing.TB, r Report, format string) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.Write(&b, format, false); err != nil {
		t.Fatal(err)
	}
	checkFormat(t, format, b.Bytes())
	return b.String()
}

// hostileNames are names that mean something to one format or another, or to none.
var hostileNames = []string{`"quotes" & <tags>`, "</details>", "```\n# heading", "a`b", "::error::x%0A", "]]>", "\x00\x1b[31m", "\xff\xfe",
	"line\nbreak\r\n", "\u2028", "@everyone", "<!-- -->", `\`, "\ufffe", "\u202e", "{{x}}", "*_~|", " › ", ""}

// TestReportsOfAnyName: no name breaks a format, or out of its place in it.
func TestReportsOfAnyName(t *testing.T) {
	commands := []bakery.Command{replaytest.MqSetup()}
	for i, name := range hostileNames {
		site := bakery.AddStructuralHTBClass{Link: "eth1", Parent: "1:", ClassID: "1:" + strconv.FormatInt(int64(0x10+i), 16), RateMbps: 1, CeilMbps: 2, SiteHash: int64(i + 1), R2Q: 10}
		c := bakery.AddCircuitHTBClass{Link: "eth1", Parent: site.ClassID, ClassID: "1:" + strconv.FormatInt(int64(0x100+i), 16), RateMbps: 1, CeilMbps: 2, CircuitHash: int64(1000 + i), Comment: &name, R2Q: 10}
		commands = append(commands, site, c)
	}
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, commands))
	r := compare(t, s, 1, len(commands))
	for i := range r.Differences { // sites get a comment from batches alone, which refuse the worst
		r.Differences[i].Site = []string{siteName(bakery.Note{Role: bakery.RoleSite, Hash: 1, Comment: hostileNames[i%len(hostileNames)]}, 0x10003)}
	}
	r.From, r.To = hostileNames[0], hostileNames[2]
	r.sort()
	n := len(r.Differences)
	if n != 2*len(hostileNames) {
		t.Fatalf("%d differences", n)
	}
	if got := len(regexp.MustCompile(`(?m)^    \+ `).FindAllString(written(t, r, "text"), -1)); got != n {
		t.Errorf("text: %d lines of %d differences", got, n)
	}
	if md := written(t, r, "markdown"); strings.Count(md, "\n</details>") != strings.Count(md, "\n<details>") || strings.Count(md, "\n+ ") != n ||
		regexp.MustCompile(`(?m)^<details>.*@everyone`).MatchString(md) {
		t.Errorf("markdown:\n%s", md)
	}
	written(t, r, "json")
	written(t, r, "sarif")
	var suites junitSuites
	if err := xml.Unmarshal([]byte(written(t, r, "junit")), &suites); err != nil || suites.Failures != n {
		t.Errorf("junit: %d failures, error %v", suites.Failures, err)
	}
	for line := range strings.Lines(written(t, r, "github")) {
		if !strings.HasPrefix(line, "::warning title=") && !strings.HasPrefix(line, "::notice title=") || strings.ContainsRune(line, '\x1b') {
			t.Errorf("github: %q", line)
		}
	}
}

// crowd is a report of n circuits that changed, ten in each site.
func crowd(t testing.TB, n int) Report {
	sides := [2]*bakery.Tree{}
	for i, ceil := range []float64{10, 20} {
		tree := bakery.NewTree()
		seq := 0
		fold := func(c bakery.Command) {
			seq++
			if err := bakery.Fold(tree, bakery.Record{Seq: tree.Seq + 1, Time: replaytest.Begin, Command: c}); err != nil {
				t.Fatal(seq, err)
			}
		}
		fold(replaytest.MqSetup())
		for site := range n / 10 {
			id := tc.NewHandle(1, uint16(site*11+16)).String()
			fold(bakery.AddStructuralHTBClass{Link: "eth1", Parent: "1:", ClassID: id, RateMbps: 1, CeilMbps: 100, SiteHash: int64(site + 1), R2Q: 10})
			for k := range 10 {
				name := fmt.Sprintf("Customer %d of site %d", k, site)
				fold(bakery.AddCircuitHTBClass{Link: "eth1", Parent: id, ClassID: tc.NewHandle(1, uint16(site*11+17+k)).String(), RateMbps: 1, CeilMbps: ceil,
					CircuitHash: int64(1_000_000 + 10*site + k), Comment: &name, R2Q: 10})
			}
		}
		sides[i] = tree
	}
	return Compare(Side{"before", sides[0]}, Side{"after", sides[1]})
}

// TestLongReports: what shows only so much says how much it left out.
func TestLongReports(t *testing.T) {
	r := crowd(t, 2000)
	if len(r.Differences) != 2000 || r.Network.Circuits.Changed != 2000 {
		t.Fatalf("%d differences, %+v", len(r.Differences), r.Network)
	}
	md := written(t, r, "markdown")
	left := regexp.MustCompile(`\*\*(\d+) differences more, in (\d+) groups, left out here\*\*`).FindStringSubmatch(md)
	if left == nil {
		t.Fatalf("nothing says what was left out: …%s", md[len(md)-300:])
	}
	more, _ := strconv.Atoi(left[1])
	if shown := strings.Count(md, "\n! "); shown+more != 2000 || len(md) < commentLimit*9/10 || len(md) > commentLimit {
		t.Errorf("%d shown, %d left out, in %d bytes", shown, more, len(md))
	}
	if !strings.HasPrefix(md, "**0 to add, 2000 to change, 0 to remove (circuits: 2000 changed)**\n") {
		t.Errorf("the totals aren't first: %.100s", md)
	}
	gh := written(t, r, "github")
	if strings.Count(gh, "::warning ") != 10 || !strings.Contains(gh, "title=1910 differences in 191 more groups::") || !strings.Contains(gh, "%0A… 166 more\n") {
		t.Errorf("github: %.3000s", gh)
	}
	if small := written(t, crowd(t, 20), "markdown"); strings.Contains(small, "details") || strings.Count(small, "\n! ") != 20 {
		t.Errorf("a short report is folded: %s", small)
	}
}

// BenchmarkCompare: ten times the differences take ten times as long, in every format.
func BenchmarkCompare(b *testing.B) {
	for _, n := range []int{500, 5000} {
		r := crowd(b, n)
		b.Run(fmt.Sprintf("compare/%d", n), func(b *testing.B) {
			for b.Loop() {
				Compare(Side{"before", r.trees[0]}, Side{"after", r.trees[1]})
			}
		})
		for _, format := range Formats {
			b.Run(fmt.Sprintf("%s/%d", format, n), func(b *testing.B) {
				for b.Loop() {
					var w bytes.Buffer
					if err := r.Write(&w, format, false); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
