package diff

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/replay"
	"lqosd/replay/replaytest"
)

func compare(t *testing.T, s *replay.Source, a, b int) Report {
	t.Helper()
	r, err := CompareMoments(t.Context(), s, eventlog.Seq(a), eventlog.Seq(b))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// changes are a report's differences in short.
func changes(r Report) string {
	var s []string
	for _, d := range r.Differences {
		s = append(s, d.Change+" "+d.Object+" "+d.ID)
	}
	return strings.Join(s, ", ")
}

func TestCompareMoments(t *testing.T) {
	commands := append(replaytest.Commands(), replaytest.MapIP("192.0.2.1", 0x10004, true), replaytest.MapIP("192.0.2.1", 0x10005, false),
		bakery.AddCircuitHTBClass{Link: "eth1", Parent: "1:4", ClassID: "1:5", RateMbps: 1, CeilMbps: 20, CircuitHash: 7, R2Q: 10},
		bakery.DelIPFlow{Address: "192.0.2.1"}, bakery.ExecuteTCCommands{Lines: []string{"qdisc add dev eth1 parent 1:5 sfq"}})
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, commands))
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
	if _, err := CompareMoments(t.Context(), s, 1, 99); err == nil {
		t.Error("a record beyond the end is no error")
	}
	if _, err := CompareMoments(t.Context(), s, 99, 1); err == nil {
		t.Error("a record beyond the end is no error")
	}
}

// TestTotals holds every pair of moments' totals against the differences, and against those of the way back.
func TestTotals(t *testing.T) {
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, replaytest.Commands()))
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
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, replaytest.Commands()))
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	var state bytes.Buffer
	if err := s.Render(t.Context(), &state, replay.Rendering{At: 6, Form: replay.FormState}); err != nil {
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
		r, err := CompareFiles(t.Context(), s, 6, "", []string{file("lines", tc.text)})
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
		if _, err := CompareFiles(t.Context(), s, 6, "", files); err == nil {
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
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, replaytest.Commands()))
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
	for _, format := range append(Formats, "html") {
		if err := r.Write(replaytest.FailingWriter{}, format, false); err == nil {
			t.Errorf("%s: a write error is swallowed", format)
		}
	}
}
