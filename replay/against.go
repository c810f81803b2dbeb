package replay

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// CompareMoments tells what turned the Tree after record a into the one after b.
func (s *Source) CompareMoments(a, b eventlog.Seq) (DiffReport, error) {
	from, err := s.Tree(a)
	if err != nil {
		return DiffReport{}, err
	}
	to, err := s.Tree(b)
	if err != nil {
		return DiffReport{}, err
	}
	label := func(q eventlog.Seq) string { return fmt.Sprintf("record %d", q) }
	return Compare(Side{label(a), from}, Side{label(b), to}), nil
}

// CompareFiles compares what the files hold with the Tree after record at: tc lines, or the
// JSON of `tc -j -d qdisc show` and `tc -j -d class show`. link is the link of a
// class listing; "" where the log has but one.
//
// Both sides are brought into the kernel's own form (tc.Canonical), and leaf
// handles, which tc assigns by itself, are left out. What the files can't tell
// (names, address mappings) isn't compared.
func (s *Source) CompareFiles(at eventlog.Seq, link string, files []string) (DiffReport, error) {
	t, err := s.Tree(at)
	if err != nil {
		return DiffReport{}, err
	}
	f := fileSide{link: link, known: t.State().Links()}
	for _, name := range files {
		if err := f.read(name); err != nil {
			return DiffReport{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	want := t.State()
	if f.json {
		want = f.onlyShown(want)
	}
	r := DiffReport{From: strings.Join(files, ", "), To: fmt.Sprintf("record %d", at), Differences: []Difference{}}
	r.states(comparable(&f.state), comparable(want), func(link string, id tc.Handle) string {
		n, _ := t.Note(link, id)
		return NoteName(id, n)
	})
	if !f.json {
		r.opaque(f.opaque, lineTexts(t))
	}
	return r, nil
}

// fileSide collects the state that files describe.
type fileSide struct {
	link   string   // of class listings
	known  []string // the log's links
	state  tc.State
	opaque []string
	json   bool
	qdiscs bool // a listing of qdiscs was among the files
	links  []string
}

func (f *fileSide) read(name string) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if trimmed := bytes.TrimSpace(data); len(trimmed) > 0 && trimmed[0] == '[' {
		return f.readJSON(trimmed)
	}
	state, bad, err := tc.ParseScript(bytes.NewReader(data))
	if err != nil {
		return err
	}
	for _, b := range bad {
		if !b.Opaque {
			return b
		}
		f.opaque = append(f.opaque, strings.Join(strings.Fields(b.Text), " "))
	}
	f.state = *state
	return nil
}

// readJSON takes a listing of qdiscs or one of classes, which differ in their keys.
func (f *fileSide) readJSON(data []byte) error {
	f.json = true
	if !bytes.Contains(data, []byte(`"class":`)) {
		f.qdiscs = true
		state, err := tc.ParseJSON(bytes.NewReader(data), nil, f.link)
		if err != nil {
			return err
		}
		return f.merge(state)
	}
	link := f.link
	if link == "" && len(f.known) == 1 {
		link = f.known[0]
	}
	if link == "" {
		return fmt.Errorf("a listing of classes doesn't name its link: --link must be one of %s", strings.Join(f.known, ", "))
	}
	state, err := tc.ParseJSON(nil, bytes.NewReader(data), link)
	if err != nil {
		return err
	}
	return f.merge(state)
}

func (f *fileSide) merge(s *tc.State) error {
	for _, link := range s.Links() {
		if !slices.Contains(f.links, link) {
			f.links = append(f.links, link)
		}
	}
	return tc.Merge(&f.state, s)
}
