package diff

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
	"lqosd/replay"
)

// CompareLogs tells what differs between the Tree of a log after record a and that of another after record b.
// The names are what people call the logs.
func CompareLogs(ctx context.Context, a, b LogMoment) (Report, error) {
	var sides [2]Side
	for i, m := range []LogMoment{a, b} {
		t, err := m.Source.Tree(ctx, m.At)
		if err != nil {
			return Report{}, fmt.Errorf("%s: %w", m.Name, err)
		}
		sides[i] = Side{fmt.Sprintf("%s, record %d", m.Name, m.At), t}
	}
	return Compare(sides[0], sides[1]), nil
}

// LogMoment is a moment of a log that has a name.
type LogMoment struct {
	Name   string
	Source *replay.Source
	At     eventlog.Seq
}

// CompareMoments tells what turned the Tree after record a into the one after b.
func CompareMoments(ctx context.Context, s *replay.Source, a, b eventlog.Seq) (Report, error) {
	v := s.Travel()
	if _, err := v.At(ctx, min(a, b)); err != nil { // on the way to the later one
		return Report{}, err
	}
	from, err := v.At(ctx, a)
	if err != nil {
		return Report{}, err
	}
	to, err := v.At(ctx, b)
	if err != nil {
		return Report{}, err
	}
	label := func(q eventlog.Seq) string { return fmt.Sprintf("record %d", q) }
	return Compare(Side{label(a), from}, Side{label(b), to}), nil
}

// CompareFiles compares what the files hold with the Tree after record at: tc lines, or the
// listings of `tc -j -d qdisc show` and `tc -j -d class show`. link is the link of a
// class listing; "" where the log has but one.
//
// Both sides are brought into the kernel's own form (tc.Canonical), and leaf
// handles, which tc assigns by itself, are left out. What the files can't tell
// (names, address mappings, and what no listing shows) isn't compared.
func CompareFiles(ctx context.Context, s *replay.Source, at eventlog.Seq, link string, files []string) (Report, error) {
	t, err := s.Tree(ctx, at)
	if err != nil {
		return Report{}, err
	}
	f := fileSide{link: link, known: t.State().Links()}
	for _, name := range files {
		if err := f.read(ctx, name); err != nil {
			return Report{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	state, err := f.state()
	if err != nil {
		return Report{}, fmt.Errorf("%s: %w", strings.Join(files, ", "), err)
	}
	r := Report{From: strings.Join(files, ", "), To: fmt.Sprintf("record %d", at), Differences: []Difference{}, Files: f.compared,
		trees: []*bakery.Tree{t}}
	has, wanted := tc.Canonical(state, tc.Host{}), tc.Canonical(t.State(), tc.Host{})
	for _, c := range tc.Diff(has, wanted) {
		if d := newDifference(c, NameOf(t, t)); f.shows(d) && !onlyLeafHandle(c, t.State()) {
			r.add(d)
		}
	}
	if f.lines != nil {
		r.opaque(LineTexts(f.lines), LineTexts(t))
	}
	r.place(newView(byLink(has), t), newView(byLink(wanted), t))
	return r, nil
}

// DescribedBy reads what files say that links have, as CompareFiles does, for a plan: tc lines, of all links,
// or a listing of qdiscs and one of classes, of one link. known are the links that there are.
func DescribedBy(ctx context.Context, link string, known, files []string) (live *Live, only []string, err error) {
	f := fileSide{link: link, known: known}
	for _, name := range files {
		if err := f.read(ctx, name); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	all := strings.Join(files, ", ")
	if f.lines == nil && (f.qdiscs == nil || f.classes == nil) {
		return nil, nil, fmt.Errorf("%s: a plan needs the listing of the qdiscs and that of the classes: --against is repeatable", all)
	}
	state, err := f.state()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", all, err)
	}
	if only = known; f.lines == nil {
		only = []string{f.link}
	}
	live = &Live{Links: map[string]tc.Observed{}}
	for _, l := range only {
		live.Links[l] = tc.Observed{State: tc.Canonical(state.Only(l), tc.Host{})}
	}
	return live, only, nil
}

// onlyLeafHandle reports a leaf qdisc whose handle alone differs.
func onlyLeafHandle(c tc.Difference, s *tc.State) bool {
	if c.From.Qdisc == nil || c.To.Qdisc == nil || c.From.Qdisc.Options != c.To.Qdisc.Options {
		return false
	}
	_, leaf := s.Class(c.Link, c.To.Qdisc.Parent)
	return leaf
}

// fileSide collects what files describe: tc lines, or listings.
type fileSide struct {
	link  string   // of a class listing
	known []string // the log's links

	lines           *bakery.Tree // nil: no file of tc lines
	qdiscs, classes []byte       // listings; nil: none
	compared        []ComparedFile
}

// readFile is os.ReadFile, but doesn't wait longer than ctx for what writes to a FIFO.
func readFile(ctx context.Context, name string) ([]byte, error) {
	read := make(chan struct{})
	var got []byte
	var failed error
	go func() {
		defer close(read)
		got, failed = os.ReadFile(name)
	}()
	select {
	case <-read:
		return got, failed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fileSide) read(ctx context.Context, name string) error {
	data, err := readFile(ctx, name)
	if err != nil {
		return err
	}
	listing := &f.qdiscs
	switch trimmed := bytes.TrimSpace(data); {
	case listsClasses(trimmed):
		listing = &f.classes
	case len(trimmed) == 0 || trimmed[0] != '[':
		f.compared = append(f.compared, newComparedFile(name, data))
		return f.readLines(data)
	case bytes.Contains(trimmed, []byte(`"class":`)):
		listing = &f.classes
	}
	if f.lines != nil || *listing != nil {
		return errors.New("a comparison takes one file of tc lines, or one listing of qdiscs and one of classes")
	}
	*listing = data
	f.compared = append(f.compared, ComparedFile{Name: name})
	return nil
}

// shownClass begins what tc(8) before 6.10 shows of a class, in spite of -j: a kind stands where a line that tc takes has a verb.
var shownClass = regexp.MustCompile(`^class [a-z_]+ [0-9a-f]+:`)

// listsClasses reports a listing of classes as text.
func listsClasses(text []byte) bool { return shownClass.Match(text) }

func (f *fileSide) readLines(data []byte) error {
	if f.lines != nil || f.qdiscs != nil || f.classes != nil {
		return errors.New("a comparison takes one file of tc lines, or one listing of qdiscs and one of classes")
	}
	tree, refused := bakery.FoldScript(string(data))
	if len(refused) > 0 {
		return refused[0]
	}
	f.lines = tree
	return nil
}

func (f *fileSide) state() (*tc.State, error) {
	if f.lines != nil {
		return f.lines.State(), nil
	}
	if f.link == "" && len(f.known) == 1 {
		f.link = f.known[0]
	}
	var qdiscs, classes io.Reader
	if f.qdiscs != nil {
		qdiscs = bytes.NewReader(f.qdiscs)
	}
	if f.classes != nil {
		if f.link == "" {
			return nil, fmt.Errorf("a listing of classes doesn't name its link: --link must be one of %s", strings.Join(f.known, ", "))
		}
		classes = bytes.NewReader(f.classes)
	}
	return tc.ParseJSON(qdiscs, classes, f.link)
}

// shows reports whether the files would show such a thing if it were there.
func (f *fileSide) shows(d Difference) bool {
	switch {
	case f.lines != nil:
		return true
	case f.link != "" && d.Link != f.link:
		return false
	case d.Object == "class":
		return f.classes != nil
	}
	return f.qdiscs != nil
}
