package tc

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

const tree = `
qdisc add dev e0 root handle 7fff: mq
qdisc add dev e0 parent 7fff:1 handle 1: htb default 2
qdisc add dev e0 clsact
class add dev e0 parent 1: classid 1:1 htb rate 100mbit
class add dev e0 parent 1:1 classid 1:3 htb rate 10mbit
class add dev e0 parent 1:1 classid 1:4 htb rate 10mbit
class add dev e0 parent 1:3 classid 1:5 htb rate 1mbit
qdisc add dev e0 parent 1:5 handle 8001: cake diffserv4
qdisc add dev e0 parent 1:4 handle 8002: tbf rate 1mbit burst 10k latency 50ms
qdisc add dev e0 parent 8002:1 handle 8003: fq_codel
`

func TestApplyRefuses(t *testing.T) {
	for line, want := range map[string]error{
		"class add dev e0 parent 1:99 classid 1:6 htb rate 1mbit":     ErrNoParent,
		"class add dev e0 parent 2: classid 2:1 htb rate 1mbit":       ErrNoParent,
		"class add dev e9 parent 1: classid 1:1 htb rate 1mbit":       ErrNoParent,
		"class add dev e0 parent 8001: classid 8001:1 htb rate 1mbit": ErrNoParent,
		"class add dev e0 parent 1: classid 1:5 htb rate 1mbit":       ErrExists,
		"class change dev e0 parent 1: classid 1:6 htb rate 1mbit":    ErrNotFound,
		"class change dev e0 parent 1:1 classid 1:5 htb rate 1mbit":   ErrInvalid,
		"class replace dev e0 parent 1:5 classid 1:3 htb rate 1mbit":  ErrInvalid,
		"class replace dev e0 parent 1:3 classid 1:3 htb rate 1mbit":  ErrInvalid,
		"class delete dev e0 classid 1:6":                             ErrNotFound,
		"class delete dev e0 classid 1:3":                             ErrBusy,
		"qdisc add dev e0 parent 1:5 fq":                              ErrExists,
		"qdisc add dev e0 root pfifo":                                 ErrExists,
		"qdisc add dev e0 parent 1:3 fq":                              ErrInvalid,
		"qdisc add dev e0 parent 1:99 fq":                             ErrNoParent,
		"qdisc add dev e0 parent 7fff:0 fq":                           ErrInvalid,
		"qdisc add dev e0 parent 8001:1 fq":                           ErrNoParent,
		"qdisc add dev e0 parent 8002:2 fq":                           ErrNoParent,
		"qdisc add dev e0 parent 9:1 fq":                              ErrNoParent,
		"qdisc add dev e0 parent 7fff:2 handle 8001: htb":             ErrExists,
		"qdisc add dev e0 parent 7fff:2 handle 7fff: htb":             ErrExists,
		"qdisc replace dev e0 parent 1:4 handle 1: pfifo":             ErrExists,
		"qdisc add dev e0 parent 7fff:2 mq":                           ErrInvalid,
		"qdisc replace dev e0 parent ffff:fff1 pfifo":                 ErrInvalid,
		"qdisc change dev e0 parent 7fff:2 htb":                       ErrNotFound,
		"qdisc change dev e0 parent 1:5 fq":                           ErrInvalid,
		"qdisc change dev e0 parent 1:5 handle 8009: cake":            ErrInvalid,
		"qdisc change dev e0 handle 8009: cake":                       ErrNotFound,
		"qdisc delete dev e0 parent 7fff:2":                           ErrNotFound,
		"qdisc delete dev e0 parent 1:5 handle 8009:":                 ErrNotFound,
		"qdisc delete dev e0 parent 1:5 fq":                           ErrInvalid,
		"qdisc delete dev e9 root":                                    ErrNotFound,
		"qdisc add dev e9 parent 1:1 pfifo":                           ErrNoParent,
		"qdisc add dev e0 ingress":                                    ErrExists,
	} {
		s := parseState(t, tree)
		op, err := ParseLine(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		err = s.Apply(op)
		var state *StateError
		if !errors.Is(err, want) || !errors.As(err, &state) {
			t.Errorf("%s: %v, want %v", line, err, want)
		}
		if !s.Equal(parseState(t, tree)) {
			t.Errorf("%s: refused, but the state changed", line)
		}
	}
}

func TestApplyRefusesNonsense(t *testing.T) {
	q := &Qdisc{Link: "e0", Parent: Root, Options: MQ{}}
	c := &Class{Link: "e0", ID: NewHandle(1, 1)}
	for name, op := range map[string]Op{
		"nothing":      {},
		"both":         {Qdisc: q, Class: c},
		"verb":         {Verb: 9, Qdisc: q},
		"link":         {Qdisc: &Qdisc{Link: "a/b", Parent: Root, Options: MQ{}}},
		"no kind":      {Qdisc: &Qdisc{Link: "e0", Parent: Root}},
		"handle":       {Qdisc: &Qdisc{Link: "e0", Parent: Root, Handle: 5, Options: MQ{}}},
		"clsact place": {Qdisc: &Qdisc{Link: "e0", Parent: Root, Options: Clsact{}}},
		"class id":     {Class: &Class{Link: "e0", ID: NewHandle(1, 0)}},
	} {
		if err := new(State).Apply(op); !errors.Is(err, ErrInvalid) || err.Error() == "" {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

// Each case is an edit of tree, and what of it must be there, or with a '!' not.
func TestApply(t *testing.T) {
	tests := []struct{ name, edits, want string }{
		{"a move takes the subtree along", "class replace dev e0 parent 1:1 classid 1:5 htb rate 1mbit\n" +
			"class replace dev e0 parent 1:5 classid 1:3 htb rate 2mbit",
			"class add dev e0 parent 1:5 classid 1:3 htb rate 2mbit\n!qdisc add dev e0 parent 1:5 handle 8001: cake diffserv4"},
		{"the first child takes the leaf's place, and what is in the leaf",
			"class add dev e0 parent 1:4 classid 1:6 htb rate 1mbit", "!handle 8002:\n!handle 8003:"},
		{"replace without parent keeps it", "class replace dev e0 classid 1:5 htb rate 2mbit",
			"class add dev e0 parent 1:3 classid 1:5 htb rate 2mbit"},
		{"root means the htb", "class add dev e0 root classid 1:6 htb rate 2mbit",
			"class add dev e0 parent 1: classid 1:6 htb rate 2mbit"},
		{"delete takes the leaf along", "class delete dev e0 classid 1:5", "!1:5\n!8001:\ndev e0 parent 1:1 classid 1:3"},
		{"replace in place keeps what is inside", "qdisc replace dev e0 parent 7fff:1 handle 1: htb default 3",
			"qdisc add dev e0 parent 7fff:1 handle 1: htb default 3\nclassid 1:5"},
		{"replace without handle keeps it", "qdisc replace dev e0 parent 1:5 cake nat",
			"qdisc add dev e0 parent 1:5 handle 8001: cake diffserv4 nat"},
		{"replace with another handle drops what is inside", "qdisc replace dev e0 parent 7fff:1 handle 3: htb",
			"!1:5\n!8001:\nqdisc add dev e0 parent 7fff:1 handle 3: htb"},
		{"a handle that goes can be used again", "qdisc replace dev e0 parent 7fff:1 handle 8001: htb",
			"qdisc add dev e0 parent 7fff:1 handle 8001: htb\n!classid"},
		{"replacing the root drops all but clsact", "qdisc replace dev e0 root handle 7fff: mq",
			"qdisc replace dev e0 root handle 7fff: mq\n!classid\n!htb\nclsact"},
		{"deleting the root too", "qdisc delete dev e0 root", "!mq\n!classid\n!htb\nclsact"},
		{"change merges cake", "qdisc change dev e0 parent 1:5 cake rtt 50ms",
			"qdisc add dev e0 parent 1:5 handle 8001: cake diffserv4 rtt 50ms"},
		{"change by handle", "qdisc change dev e0 handle 8001: cake wash", "cake diffserv4 wash"},
		{"clsact goes alone", "qdisc delete dev e0 clsact", "!clsact\nmq"},
		{"class parameters are replaced as a whole", "class change dev e0 parent 1:3 classid 1:5 htb rate 1mbit prio 5\n" +
			"class change dev e0 parent 1:3 classid 1:5 htb rate 1mbit", "class add dev e0 parent 1:3 classid 1:5 htb rate 1mbit\n!prio"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(Script(parseState(t, tree+tt.edits)), "\n")
			for want := range strings.Lines(tt.want) {
				want = strings.TrimSpace(want)
				absent, isAbsent := strings.CutPrefix(want, "!")
				if isAbsent && strings.Contains(got, absent) || !isAbsent && !strings.Contains(got, want) {
					t.Errorf("want %q in\n%s", want, got)
				}
			}
		})
	}
}

func TestDepth(t *testing.T) {
	s := parseState(t, "qdisc add dev e0 root handle 1: htb")
	parent := NewHandle(1, 0)
	for minor := range uint16(9) {
		id := NewHandle(1, minor+1)
		err := s.Apply(Op{Class: &Class{Link: "e0", ID: id, Parent: parent}})
		if (minor < MaxHTBDepth) != (err == nil) {
			t.Errorf("class %d: %v", minor+1, err)
		}
		parent = id
	}
	// A class with one below it can't go under the seventh.
	for _, line := range []string{"class add dev e0 parent 1: classid 1:20 htb rate 1mbit", "class add dev e0 parent 1:20 classid 1:21 htb rate 1mbit"} {
		op, err := ParseLine(line)
		if err != nil || s.Apply(op) != nil {
			t.Fatal(line, err)
		}
	}
	move := Op{Verb: Replace, Class: &Class{Link: "e0", ID: NewHandle(1, 0x20), Parent: NewHandle(1, 7)}}
	if err := s.Apply(move); !errors.Is(err, ErrInvalid) {
		t.Errorf("move: %v, want ErrInvalid", err)
	}
}

func TestStateReads(t *testing.T) {
	s := parseState(t, tree+"qdisc add dev e1 root handle 1: htb\n")
	if got := strings.Join(s.Links(), " "); got != "e0 e1" {
		t.Errorf("Links = %q", got)
	}
	if q, ok := s.Qdisc("e0", NewHandle(1, 5)); !ok || q.Handle != NewHandle(0x8001, 0) {
		t.Errorf("Qdisc = %+v, %v", q, ok)
	}
	if q, ok := s.QdiscByHandle("e0", NewHandle(0x8003, 0)); !ok || q.Parent != NewHandle(0x8002, 1) {
		t.Errorf("QdiscByHandle = %+v, %v", q, ok)
	}
	if _, ok := s.QdiscByHandle("e0", NewHandle(0x9000, 0)); ok {
		t.Error("QdiscByHandle finds what is not there")
	}
	var ids []string
	for c := range s.Children("e0", NewHandle(1, 1)) {
		ids = append(ids, c.ID.String())
	}
	for c := range s.Classes("e0") {
		ids = append(ids, c.ID.String())
	}
	for q := range s.Qdiscs("e0") {
		ids = append(ids, q.Handle.String())
	}
	if got := strings.Join(ids, " "); got != "1:3 1:4 1:1 1:3 1:4 1:5 8002: 8001: 1: 8003: ffff: 7fff:" {
		t.Errorf("iterators: %s", got)
	}
	if !s.HandleInUse("e0", 0x8002) || s.HandleInUse("e0", 0x8004) || s.HandleInUse("e9", 1) {
		t.Error("HandleInUse is wrong")
	}
	if s.QdiscCount("e0") != 6 || s.ClassCount("e0") != 4 || s.Len() != 11 {
		t.Errorf("counts: %d %d %d", s.QdiscCount("e0"), s.ClassCount("e0"), s.Len())
	}
}

// TestInvariants checks the indexes of a State against its contents.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genState(t, "state")
		for _, name := range s.Links() {
			checkIndexes(t, s, name)
		}
	})
}

func checkIndexes(t *rapid.T, s *State, name string) {
	l := s.link(name)
	if l.empty() || l.name != name {
		t.Fatalf("link %q is kept empty or misnamed", name)
	}
	below, handles := 0, 0
	for c := range s.Classes(name) {
		below++
		if !slices.Contains(slices.Collect(l.children(c.Parent)), c.ID) {
			t.Fatalf("class %v is not below %v", c.ID, c.Parent)
		}
		if _, leaf := s.Qdisc(name, c.ID); leaf && l.hasChildren(c.ID) {
			t.Fatalf("class %v has a leaf and children", c.ID)
		}
	}
	for q := range s.Qdiscs(name) {
		if q.Handle != 0 {
			handles++
		}
		if at, _ := l.handles.Get(q.Handle.Major()); q.Handle != 0 && at != q.Parent {
			t.Fatalf("handle %v is at %v, not %v", q.Handle, q.Parent, at)
		}
	}
	kids := 0
	l.kids.Scan(func(parent Handle, n int32) bool {
		ids := slices.Collect(l.children(parent))
		found := len(ids)
		if !slices.IsSorted(ids) {
			t.Fatalf("the children of %v are %v", parent, ids)
		}
		if kids += found; found != int(n) || n == 0 {
			t.Fatalf("%v has %d children, and counts %d", parent, found, n)
		}
		return true
	})
	if kids != below {
		t.Fatalf("%d classes are below others, and %d counted", below, kids)
	}
	if len(l.byParent()) != below || l.handles.Len() != handles || len(l.ordered()) != s.QdiscCount(name)+s.ClassCount(name) {
		t.Fatalf("indexes hold too much: %s", strings.Join(Script(s), "\n"))
	}
}

func TestCloneIsolation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genState(t, "state")
		before := strings.Join(Script(s), "\n")
		clone := s.Clone()
		for _, op := range rapid.SliceOf(rapid.Custom(genOp)).Draw(t, "edits") {
			_ = s.Apply(op)
		}
		after := strings.Join(Script(s), "\n")
		if got := strings.Join(Script(clone), "\n"); got != before {
			t.Fatalf("the clone changed with the original:\n%s\nwas\n%s", got, before)
		}
		for _, op := range rapid.SliceOf(rapid.Custom(genOp)).Draw(t, "edits of the clone") {
			_ = clone.Apply(op)
		}
		if got := strings.Join(Script(s), "\n"); got != after {
			t.Fatal("the original changed with the clone")
		}
	})
}

// TestCloneRace is for the race detector: readers of clones beside a writer.
func TestCloneRace(t *testing.T) {
	s := parseState(t, tree)
	var readers sync.WaitGroup
	for minor := range uint16(50) {
		published := s.Clone()
		for range 2 {
			readers.Go(func() {
				if own := published.Clone(); own.Len() != published.Len() || len(Script(published)) != own.Len() {
					t.Error("a clone changed while it was read")
				}
			})
		}
		id := NewHandle(1, 0x100+minor)
		if err := s.Apply(Op{Class: &Class{Link: "e0", ID: id, Parent: NewHandle(1, 1)}}); err != nil {
			t.Fatal(err)
		}
	}
	readers.Wait()
}
