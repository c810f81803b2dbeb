package replay

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
	"lqosd/internal/golden"
)

func compare(t *testing.T, s *Source, a, b int) DiffReport {
	t.Helper()
	r, err := s.CompareMoments(t.Context(), eventlog.Seq(a), eventlog.Seq(b))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// changes are a report's differences in short.
func changes(r DiffReport) string {
	var s []string
	for _, d := range r.Differences {
		s = append(s, d.Change+" "+d.Object+" "+d.ID)
	}
	return strings.Join(s, ", ")
}

func TestCompareMoments(t *testing.T) {
	commands := append(someCommands(), mapping("192.0.2.1", 0x10004, true), mapping("192.0.2.1", 0x10005, false),
		bakery.AddCircuitHTBClass{Link: "eth1", Parent: "1:4", ClassID: "1:5", RateMbps: 1, CeilMbps: 20, CircuitHash: 7, R2Q: 10},
		bakery.DelIPFlow{Address: "192.0.2.1"}, bakery.ExecuteTCCommands{Lines: []string{"qdisc add dev eth1 parent 1:5 sfq"}})
	s := openLog(t, writeLog(t, commands))
	for _, tc := range []struct {
		a, b int
		want string
	}{
		{3, 3, ""},
		{1, 2, "added class 1:4"},
		{2, 1, "removed class 1:4"},
		{3, 4, "added mapping 192.0.2.1/32"},
		{4, 5, "added line filter add dev eth1 parent 1: matchall flowid 1:4"},
		{5, 4, "removed line filter add dev eth1 parent 1: matchall flowid 1:4"},
		{5, 6, "changed class 1:4"},
		{6, 7, "added mapping 192.0.2.1/32"}, // the other direction is another mapping
		{7, 8, "changed mapping 192.0.2.1/32"},
		{8, 9, "moved class 1:5"},
		{9, 10, "removed mapping 192.0.2.1/32"},
		{10, 11, "added qdisc 1:5"},
	} {
		if got := changes(compare(t, s, tc.a, tc.b)); got != tc.want {
			t.Errorf("%d to %d: got %q, want %q", tc.a, tc.b, got, tc.want)
		}
	}
	if _, err := s.CompareMoments(t.Context(), 1, 99); err == nil {
		t.Error("a record beyond the end is no error")
	}
	if _, err := s.CompareMoments(t.Context(), 99, 1); err == nil {
		t.Error("a record beyond the end is no error")
	}
}

// TestTotals holds every pair of moments' totals against the differences, and against those of the way back.
func TestTotals(t *testing.T) {
	s := openLog(t, writeLog(t, someCommands()))
	for a := range 7 {
		for b := range 7 {
			there, back := compare(t, s, a, b), compare(t, s, b, a)
			if there.Totals != (Totals{Added: back.Totals.Removed, Removed: back.Totals.Added, Changed: back.Totals.Changed}) {
				t.Errorf("%d to %d: %v, and back %v", a, b, there.Totals, back.Totals)
			}
			if n := there.Totals.Added + there.Totals.Removed + there.Totals.Changed; n != len(there.Differences) {
				t.Errorf("%d to %d: %v for %d differences", a, b, there.Totals, len(there.Differences))
			}
			if there.Same() != (a == b) {
				t.Errorf("%d to %d: same is %v", a, b, there.Same())
			}
		}
	}
}

// TestCompareFiles holds a log against files that describe it, or nearly.
func TestCompareFiles(t *testing.T) {
	s := openLog(t, writeLog(t, someCommands()))
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var state bytes.Buffer
	if err := s.Render(t.Context(), &state, Rendering{At: 6, Form: FormState}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, text, want string }{
		{"the same", state.String(), ""},
		{"other leaf handles", strings.ReplaceAll(state.String(), " handle ee8f:", ""), ""},
		{"another ceil", strings.Replace(state.String(), "ceil 30mbit", "ceil 31mbit", 1), "changed class 1:4"},
		{"a class less", cutLine(state.String(), "classid 1:5 "), "added class 1:5"},
		{"an opaque line less", cutLine(state.String(), "filter"), "added line filter add dev eth1 parent 1: matchall flowid 1:4"},
		{"an opaque line more", state.String() + "filter add dev eth1 parent 1: matchall flowid 1:5\n", "removed line filter add dev eth1 parent 1: matchall flowid 1:5"},
	} {
		r, err := s.CompareFiles(t.Context(), 6, "", []string{file("lines", tc.text)})
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if got := changes(r); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	lines, listing := file("lines", state.String()), file("listing", "[]")
	for name, files := range map[string][]string{
		"twice":                {lines, lines},
		"lines and a listing":  {lines, listing},
		"a listing and lines":  {listing, lines},
		"two listings":         {listing, listing},
		"missing":              {filepath.Join(dir, "none")},
		"a bad line":           {file("bad", "class add dev eth1 parent 1: htb\n")},
		"a listing, no JSON":   {file("broken", "[{")},
		"classes without link": {file("classes", `[{"class":"htb","handle":"1:1","root":true,"rate":1,"ceil":1}]`)},
	} {
		if _, err := s.CompareFiles(t.Context(), 6, "", files); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// cutLine leaves the line that holds a text out.
func cutLine(text, holds string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, holds) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestColour(t *testing.T) {
	s := openLog(t, writeLog(t, someCommands()))
	r := compare(t, s, 1, 6)
	var plain, colour strings.Builder
	if err := r.Write(&plain, "text", false); err != nil {
		t.Fatal(err)
	}
	if err := r.Write(&colour, "text", true); err != nil {
		t.Fatal(err)
	}
	stripped := strings.NewReplacer("\x1b[1m", "", "\x1b[32m", "", "\x1b[31m", "", "\x1b[33m", "", "\x1b[0m", "").Replace(colour.String())
	if strings.Contains(plain.String(), "\x1b") || stripped != plain.String() || stripped == colour.String() {
		t.Errorf("plain:\n%s\ncoloured:\n%q", &plain, colour.String())
	}
	for _, format := range append(DiffFormats, "html") {
		if err := r.Write(failingWriter{}, format, false); err == nil {
			t.Errorf("%s: a write error is swallowed", format)
		}
	}
}

// TestGoldenState plays recorded lines: the tree's JSON and the state form hold the same tree.
func TestGoldenState(t *testing.T) {
	cases, err := golden.Cases("../testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		lines, err := c.Lines()
		if err != nil {
			t.Fatal(err)
		}
		s := openLog(t, writeLog(t, []bakery.Command{bakery.ExecuteTCCommands{Lines: strings.Split(strings.TrimSpace(lines), "\n")}}))
		var commands, state bytes.Buffer
		if err := s.Render(t.Context(), &commands, Rendering{At: 1, Form: FormCommands}); err != nil {
			t.Fatal(err)
		}
		if commands.String() != lines {
			t.Errorf("%s: the command form isn't what was sent", c.Name)
		}
		if err := s.Render(t.Context(), &state, Rendering{At: 1, Form: FormState}); err != nil {
			t.Fatal(err)
		}
		tree, err := s.Tree(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		got, bad, err := tc.ParseScript(&state)
		if err != nil || len(bad) > 0 {
			t.Fatal(err, bad)
		}
		if diffs := tc.Diff(got, tree.State()); len(diffs) > 0 {
			t.Errorf("%s: the state form differs in %d places, the first: %v", c.Name, len(diffs), diffs[0])
		}
		checkTreeJSON(t, c.Name, tree)
	}
}

// checkTreeJSON counts what the JSON of a tree holds.
func checkTreeJSON(t *testing.T, name string, tree *bakery.Tree) {
	t.Helper()
	b, err := json.Marshal(NewTreeJSON(tree, TreeView{}))
	if err != nil {
		t.Fatal(err)
	}
	var j struct {
		Hash  string `json:"hash"`
		Links []struct {
			Classes []any `json:"classes"`
			Qdiscs  []any `json:"qdiscs"`
		} `json:"links"`
	}
	if err := json.Unmarshal(b, &j); err != nil {
		t.Fatal(err)
	}
	got, want := 0, 0
	for _, l := range j.Links {
		got += len(l.Classes) + len(l.Qdiscs)
	}
	for _, link := range tree.State().Links() {
		for range tree.State().Classes(link) {
			want++
		}
		for range tree.State().Qdiscs(link) {
			want++
		}
	}
	if got != want || want == 0 || j.Hash != tree.Hash() {
		t.Errorf("%s: the JSON holds %d objects, want %d; hash %s", name, got, want, j.Hash)
	}
	var text strings.Builder
	if err := WriteTree(&text, tree, TreeView{}); err != nil {
		t.Fatal(err)
	}
	for _, link := range tree.State().Links() {
		for c := range tree.State().Classes(link) {
			if !strings.Contains(text.String(), " "+c.ID.String()+" ") {
				t.Fatalf("%s: class %s of %s isn't listed", name, c.ID, link)
			}
		}
	}
}
