package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/replay"
	"lqosd/replay/diff"
)

var begin = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

// hostile is a name that would do something, were it taken for more than text.
const hostile = `</script></style><img src=x onerror=alert(1)>{{.}}'";//`

// network makes a log: refreshes of so many circuits, each followed by changes of one circuit, a minute apart.
func network(t *testing.T, circuits, refreshes, changes int) *replay.Source {
	t.Helper()
	dir := t.TempDir()
	l, err := eventlog.Open(dir, eventlog.Options{Clock: func() time.Time { return begin }})
	if err != nil {
		t.Fatal(err)
	}
	tree, at := bakery.NewTree(), begin
	var records [][]byte
	add := func(c bakery.Command) {
		r := bakery.Record{Seq: tree.Seq + 1, Time: at, Sender: bakery.Sender{UID: 1000, PID: 7}, Command: c}
		if err := bakery.Fold(tree, r); err != nil {
			t.Fatal(err)
		}
		records = append(records, bakery.AppendRecord(nil, r))
	}
	for n := range refreshes {
		refresh(add, circuits, float64(10+n))
		for i := range changes {
			at = at.Add(time.Minute)
			add(circuit("eth1", 0, float64(20+i%2)))
		}
		at = at.Add(time.Hour)
	}
	p, err := l.Enqueue(eventlog.Tx{Records: records})
	if err == nil {
		_, err = p.Wait()
	}
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := replay.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func refresh(add func(bakery.Command), circuits int, ceil float64) {
	sqm := []string{"cake", "diffserv4"}
	add(bakery.MqSetup{Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 1, CapacityMbps: 1000, SQM: sqm},
		Up: bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 1, CapacityMbps: 500, SQM: sqm}, R2Q: 10})
	for _, link := range []string{"eth1", "eth0"} {
		add(bakery.AddStructuralHTBClass{Link: link, Parent: "1:", ClassID: "3", RateMbps: 50, CeilMbps: 100, SiteHash: 77, R2Q: 10})
		for i := range circuits {
			add(circuit(link, i, ceil))
			add(bakery.AddCircuitQdisc{Link: link, ParentMajor: 1, ParentMinor: uint32(0x10 + i), CircuitHash: int64(i), SQM: sqm})
		}
	}
	add(bakery.MapIPToFlow{Address: "192.0.2.1", Handle: 0x10010})
}

// circuit is the class of a circuit below the site; the first is hostile.
func circuit(link string, i int, ceil float64) bakery.Command {
	name := fmt.Sprintf("Customer %d", i)
	switch i {
	case 0:
		name = hostile
	case 1:
		name += strings.Repeat(" é", 1300)
	}
	return bakery.AddCircuitHTBClass{Link: link, Parent: "1:3", ClassID: fmt.Sprintf("%x", 0x10+i), RateMbps: 5, CeilMbps: ceil,
		CircuitHash: int64(1000 + i), Comment: &name, R2Q: 10}
}

func write(t *testing.T, s *replay.Source, o Options, most limits) (string, *html.Node) {
	t.Helper()
	if o.Made.IsZero() {
		o.Made = begin.Add(24 * time.Hour)
	}
	r, err := makeReport(t.Context(), s, o, most)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		t.Fatal(err)
	}
	root, err := html.Parse(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), root
}

// all are the elements of a name, or all elements.
func all(root *html.Node, name string) (list []*html.Node) {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && (name == "" || n.Data == name) {
			list = append(list, n)
		}
	}
	return list
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func content(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// drift is what a kernel has otherwise, with a name of its own that is hostile.
func drift() *diff.Report {
	return &diff.Report{From: "kernel", To: "record 9", Totals: diff.Totals{Changed: 1, Removed: 1}, Differences: []diff.Difference{
		{Change: "changed", Object: "class", Link: "eth1", ID: "1:10", Name: hostile, From: "a", To: "b", Fields: []diff.FieldChange{{Name: "rate", From: hostile, To: "5mbit"}}},
		{Change: "removed", Object: "line", ID: hostile, From: hostile},
	}}
}

// TestNamesAreOnlyText: whatever a client calls a circuit, the page has no elements and no scripts but its own.
func TestNamesAreOnlyText(t *testing.T) {
	s := network(t, 3, 2, 1)
	text, root := write(t, s, Options{Log: hostile, To: s.Last(), Drift: drift()}, usual)
	if n := len(all(root, "img")); n != 0 {
		t.Errorf("%d images", n)
	}
	if scripts, styles := all(root, "script"), all(root, "style"); len(scripts) != 2 || len(styles) != 1 || content(scripts[1]) != script || content(styles[0]) != style {
		t.Errorf("%d scripts and %d styles, or others than ours", len(scripts), len(styles))
	}
	if got := content(all(root, "h1")[0]); got != hostile {
		t.Errorf("the title is %q", got)
	}
	shown := 0
	for _, n := range all(root, "bdi") {
		if strings.Contains(content(n), `<img src=x onerror=alert(1)>`) {
			shown++
		}
	}
	if shown < 5 { // the log, the tree in both directions, an event, the difference, the drift
		t.Errorf("the name is shown %d times", shown)
	}
	// What waits for the script is in JSON, and as harmless.
	few := usual
	few.rows = 1
	text2, root2 := write(t, s, Options{Log: "log", To: s.Last()}, few)
	if len(all(root2, "script")) != 2 || !strings.Contains(content(all(root2, "script")[0]), `\u003c/script`) {
		t.Error("the hostile name isn't in the data, or not escaped there")
	}
	for _, page := range []string{text, text2} {
		if strings.Contains(page, "<img") || strings.Contains(page, "ZgotmplZ") {
			t.Error("an <img, or what html/template refused")
		}
	}
}

// TestPageLoadsNothing: nothing in the page asks for anything outside of it, and the policy lets nothing run but what is ours.
func TestPageLoadsNothing(t *testing.T) {
	s := network(t, 3, 1, 1)
	_, root := write(t, s, Options{Log: "log", To: s.Last(), Drift: drift()}, usual)
	ids := map[string]bool{}
	for _, n := range all(root, "") {
		if id := attribute(n, "id"); id != "" && ids[id] {
			t.Errorf("two elements have id %q", id)
		} else {
			ids[id] = true
		}
	}
	for _, n := range all(root, "") {
		if slices.Contains([]string{"link", "base", "iframe", "object", "embed", "img", "video", "audio", "source", "use", "image"}, n.Data) {
			t.Errorf("there is a <%s>", n.Data)
		}
		for _, a := range n.Attr {
			switch {
			case a.Key == "href" && !(strings.HasPrefix(a.Val, "#") && ids[a.Val[1:]]):
				t.Errorf("<%s href=%q> leads out of the page, or nowhere", n.Data, a.Val)
			case slices.Contains([]string{"src", "srcset", "action", "formaction", "background", "data", "poster", "ping", "style"}, a.Key), strings.HasPrefix(a.Key, "on"):
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			}
		}
	}
	for name, re := range map[string]string{"style": `url\(|@import|https?:|expression`, "script": `fetch|XMLHttp|import\(|eval|Function\(|innerHTML|document\.write|WebSocket|sendBeacon`} {
		if found := regexp.MustCompile(re).FindString(map[string]string{"style": style, "script": script}[name]); found != "" {
			t.Errorf("the %s has %q", name, found)
		}
	}
	if text := strings.ReplaceAll(script, "http://www.w3.org/2000/svg", ""); strings.Contains(text, "http") {
		t.Error("the script names something on the network")
	}
	checkPolicy(t, root)
}

func checkPolicy(t *testing.T, root *html.Node) {
	t.Helper()
	for _, n := range all(root, "meta") {
		if attribute(n, "http-equiv") != "Content-Security-Policy" {
			continue
		}
		policy := map[string]string{}
		for _, p := range strings.Split(attribute(n, "content"), "; ") {
			name, value, _ := strings.Cut(p, " ")
			policy[name] = value
		}
		want := map[string]string{"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'",
			"style-src":  "'" + hash(content(all(root, "style")[0])) + "'",
			"script-src": "'" + hash(content(all(root, "script")[1])) + "'"}
		if fmt.Sprint(policy) != fmt.Sprint(want) {
			t.Errorf("the policy is %v\nwant %v", policy, want)
		}
		for p := n.NextSibling; p != nil; p = p.NextSibling {
			if p.Data == "style" {
				return // it comes before what it is about
			}
		}
	}
	t.Error("no policy before the style")
}

// TestPageIsAccessible looks at what a page without a mouse, or without eyes, needs.
func TestPageIsAccessible(t *testing.T) {
	s := network(t, 3, 2, 1)
	_, root := write(t, s, Options{Log: "log", To: s.Last(), Drift: drift()}, usual)
	if got := attribute(all(root, "html")[0], "lang"); got != "en" {
		t.Errorf("lang is %q", got)
	}
	if got := content(all(root, "title")[0]); got != "lqosd: log" {
		t.Errorf("the title is %q", got)
	}
	if a := all(root, "a")[0]; attribute(a, "href") != "#main" || attribute(all(root, "main")[0], "id") != "main" {
		t.Error("the first link doesn't skip to the report")
	}
	for _, n := range all(root, "table") {
		head := all(n, "thead")
		if len(head) != 1 || len(all(head[0], "td")) > 0 {
			t.Fatal("a table without headings")
		}
		for _, h := range all(head[0], "th") {
			if attribute(h, "scope") != "col" || content(h) == "" {
				t.Error("a heading of nothing")
			}
		}
	}
	if len(all(root, "main")) != 1 || len(all(root, "h1")) != 1 || len(all(root, "nav")) != 1 {
		t.Error("more or less than one of main, h1, nav")
	}
	labelled := map[string]bool{}
	for _, n := range all(root, "label") {
		labelled[attribute(n, "for")] = true
		for _, in := range all(n, "input") {
			labelled[attribute(in, "id")] = true
		}
	}
	for _, n := range all(root, "input") {
		if !labelled[attribute(n, "id")] {
			t.Errorf("nothing labels the input %q", attribute(n, "id"))
		}
	}
	for _, n := range all(root, "details") {
		if n.FirstChild == nil || n.FirstChild.Data != "summary" {
			t.Error("details without a summary in front")
		}
	}
	for _, n := range all(root, "svg") {
		if attribute(n, "role") != "img" || attribute(n, "aria-label") == "" {
			t.Error("a picture that says nothing to who doesn't see it")
		}
	}
}

// TestPageHolds looks for what a report is made for.
func TestPageHolds(t *testing.T) {
	s := network(t, 3, 2, 1)
	_, root := write(t, s, Options{Log: "log", From: 1, To: s.Last(), Drift: drift()}, usual)
	text := regexp.MustCompile(`\s+`).ReplaceAllString(content(all(root, "main")[0]), " ")
	for _, want := range []string{
		"record 1 2026-11-23 14:00:00 → record " + fmt.Sprint(s.Last()),
		"Refresh 2 site classes, 6 circuit classes, 6 leaves, 1 address mapped",
		"kernel → record 9", "ceil 11mbit → 20mbit", "Customer 2 circuit", "site 77", "1:3 77 site 3 circuits", "×0.30", "to the internet: 500mbit, 1 sites, 3 circuits",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q isn't in the page:\n%s", want, text)
		}
	}
	var groups []string
	for _, n := range all(root, "details") {
		if strings.HasPrefix(attribute(n, "class"), "group") {
			groups = append(groups, content(all(n, "bdi")[0]))
		}
	}
	if want := []string{"site 77", "Lines of tc", "site 77", "Addresses"}; !slices.Equal(groups, want) { // drift, then the difference
		t.Errorf("the groups are %q, want %q", groups, want)
	}
	drawn := 0
	for _, n := range all(all(root, "svg")[0], "title") {
		var k int
		_, text, _ := strings.Cut(content(n), ": ")
		_, _ = fmt.Sscanf(text, "%d records", &k)
		drawn += k
	}
	if drawn != int(s.Last()-1) {
		t.Errorf("the picture shows %d records, want %d", drawn, s.Last()-1)
	}
	_, root = write(t, s, Options{Log: "log"}, usual)
	if text := content(all(root, "main")[0]); !strings.Contains(text, "No record lies between") || !strings.Contains(text, "The tree is empty") || !strings.Contains(text, "no difference") {
		t.Error("an empty report doesn't say so")
	}
	if n := len(all(root, "section")); n != 4 {
		t.Errorf("%d sections without drift, want 4", n)
	}
}

// TestLeftOut: a page with less room holds less, says so, and every class is somewhere.
func TestLeftOut(t *testing.T) {
	const circuits, refreshes, changes = 60, 4, 10
	s := network(t, circuits, refreshes, changes)
	tight := limits{events: 25, refreshes: 1, changes: 30, each: 10, rows: 20, rest: 80, lines: 40, group: 20}
	text, root := write(t, s, Options{Log: "log", To: s.Last()}, tight)
	whole, _ := write(t, s, Options{Log: "log", To: s.Last()}, usual)
	if len(text)-len(script)-len(style) > (len(whole)-len(script)-len(style))/2 {
		t.Errorf("%d bytes, without limits %d", len(text), len(whole))
	}
	said := content(all(root, "main")[0])
	for _, want := range []string{"Of 44 events the newest 25 are listed", "What 1 older refreshes changed wasn't worked out", "are listed below them",
		"classes of the tree aren't in this file", "differences between the empty tree and record " + fmt.Sprint(s.Last()) + " 31 are listed"} {
		if !strings.Contains(said, want) {
			t.Errorf("it doesn't say %q", want)
		}
	}
	var data data
	if err := json.Unmarshal([]byte(content(all(root, "script")[0])), &data); err != nil {
		t.Fatal(err)
	}
	listed, rest := 0, 0
	for _, n := range all(root, "code") {
		if attribute(n.Parent, "class") == "nm" {
			listed++
		}
	}
	for _, rows := range data.Rest {
		rest += len(rows)
	}
	classes := 2 * (3 + circuits)
	lost := 0
	if m := regexp.MustCompile(`(\d+) classes of the tree aren't`).FindStringSubmatch(said); m != nil {
		_, _ = fmt.Sscan(m[1], &lost)
	}
	if listed-2+rest+lost != classes || rest == 0 || rest > tight.rest {
		t.Errorf("%d classes are listed, %d wait, %d are left out, of %d", listed-2, rest, lost, classes)
	}
	sum := 0
	for _, n := range data.Counts {
		sum += n
	}
	if sum != int(s.Last()) {
		t.Errorf("the picture shows %d records of %d", sum, s.Last())
	}
}

// TestSizeIsBound: a page grows with its limits, not with the log nor with its names.
func TestSizeIsBound(t *testing.T) {
	small, large := network(t, 40, 3, 10), network(t, 120, 6, 30)
	size := func(s *replay.Source, n int) int {
		text, _ := write(t, s, Options{Log: "log", To: s.Last()}, limits{events: n, refreshes: n, changes: n, each: n, rows: n, rest: n, lines: n, group: n})
		return len(text)
	}
	for _, n := range []int{10, 20} {
		if a, b := size(small, n), size(large, n); b > a+a/10 {
			t.Errorf("limits of %d: %d bytes for a small log, %d for a large one", n, a, b)
		}
	}
	const each = 3000 // bytes: a row of the tree, one that waits, a line of the difference, an event and its change
	if a, b := size(large, 10), size(large, 20); b > a+10*each {
		t.Errorf("limits of 10: %d bytes, of 20: %d", a, b)
	}
}

func TestClip(t *testing.T) {
	for text, want := range map[string]string{"short": "short", strings.Repeat("é", 120): strings.Repeat("é", 120), "a" + strings.Repeat("é", 120): "a" + strings.Repeat("é", 119) + "…"} {
		if got := clip(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestContextEnds(t *testing.T) {
	s := network(t, 3, 1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(ctx, s, Options{To: s.Last()}); err == nil {
		t.Error("it went on")
	}
}
