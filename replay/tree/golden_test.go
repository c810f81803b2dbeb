package tree

import (
	"bytes"
	"encoding/json"
	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/internal/golden"
	"lqosd/replay"
	"lqosd/replay/replaytest"
	"strings"
	"testing"
)

// TestGoldenState plays recorded lines: the tree's JSON and the state form hold the same tree.
func TestGoldenState(t *testing.T) {
	cases, err := golden.Cases("../../testdata/golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		lines, err := c.Lines()
		if err != nil {
			t.Fatal(err)
		}
		s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, []bakery.Command{bakery.ExecuteTCCommands{Lines: strings.Split(strings.TrimSpace(lines), "\n")}}))
		var commands, state bytes.Buffer
		if err := s.Render(t.Context(), &commands, replay.Rendering{At: 1, Form: replay.FormCommands}); err != nil {
			t.Fatal(err)
		}
		if commands.String() != lines {
			t.Errorf("%s: the command form isn't what was sent", c.Name)
		}
		if err := s.Render(t.Context(), &state, replay.Rendering{At: 1, Form: replay.FormState}); err != nil {
			t.Fatal(err)
		}
		folded, err := s.Tree(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		got, bad, err := tc.ParseScript(&state)
		if err != nil || len(bad) > 0 {
			t.Fatal(err, bad)
		}
		if diffs := tc.Diff(got, folded.State()); len(diffs) > 0 {
			t.Errorf("%s: the state form differs in %d places, the first: %v", c.Name, len(diffs), diffs[0])
		}
		checkTreeJSON(t, c.Name, folded)
	}
}

// checkTreeJSON counts what the JSON of a tree holds.
func checkTreeJSON(t *testing.T, name string, folded *bakery.Tree) {
	t.Helper()
	b, err := json.Marshal(NewJSON(folded, View{}))
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
	for _, link := range folded.State().Links() {
		for range folded.State().Classes(link) {
			want++
		}
		for range folded.State().Qdiscs(link) {
			want++
		}
	}
	if got != want || want == 0 || j.Hash != folded.Hash() {
		t.Errorf("%s: the JSON holds %d objects, want %d; hash %s", name, got, want, j.Hash)
	}
	var text strings.Builder
	if err := Write(&text, folded, View{}); err != nil {
		t.Fatal(err)
	}
	for _, link := range folded.State().Links() {
		for c := range folded.State().Classes(link) {
			if !strings.Contains(text.String(), " "+c.ID.String()+" ") {
				t.Fatalf("%s: class %s of %s isn't listed", name, c.ID, link)
			}
		}
	}
}
