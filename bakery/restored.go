package bakery

import (
	"fmt"
	"slices"
	"strings"

	"lqosd/bakery/tc"
)

// maxFailed is how many objects the cursor names as failed.
const maxFailed = 200

// encodeKeys names objects of a link for the cursor: "c1:5" is a class, "q1:5" the qdisc in
// it; false if they are too many.
func encodeKeys(keys map[key]bool) (text string, ok bool) {
	if len(keys) > maxFailed {
		return "", false
	}
	words := make([]string, 0, len(keys))
	for k := range keys {
		letter := 'q'
		if k.class {
			letter = 'c'
		}
		words = append(words, fmt.Sprintf("%c%08x", letter, uint32(k.at)))
	}
	slices.Sort(words)
	return strings.Join(words, " "), true
}

func decodeKeys(link, text string) []key {
	var keys []key
	for word := range strings.FieldsSeq(text) {
		var at uint32
		if _, err := fmt.Sscanf(word[1:], "%08x", &at); err == nil {
			keys = append(keys, key{link: link, class: word[0] == 'c', at: tc.Handle(at)})
		}
	}
	return keys
}

// restore gives what the applied records made of a link, where some objects had failed:
// of those it has what the link has.
func restore(base, has *tc.State, failed []key) *tc.State {
	s := base.Clone()
	failed = append(failed, leftIn(base, has, failed)...)
	for range tc.MaxHTBDepth { // a class goes after what is below it
		changed := false
		for _, k := range failed {
			changed = restoreOne(s, has, k) || changed
		}
		if !changed {
			break
		}
	}
	return s
}

// leftIn are the objects of has that go with those that failed: the contents of what couldn't
// be deleted, and of a qdisc that is another one than in base.
func leftIn(base, has *tc.State, failed []key) (left []key) {
	if len(failed) == 0 {
		return nil
	}
	link := failed[0].link
	in, another := map[key]bool{}, map[key]bool{}
	for _, k := range failed {
		in[k] = true
		if !k.class {
			old, _ := base.Qdisc(link, k.at)
			q, _ := has.Qdisc(link, k.at)
			another[k] = old != q && !sameHTB(old, q)
		}
	}
	take := func(o tc.Object) {
		k := keyOf(link, o)
		c, sits := has.Container(link, o)
		if in[k] || !sits || !in[keyOf(link, c)] {
			return
		}
		if another[k] = another[keyOf(link, c)]; another[k] || !contains(base, link, o) {
			in[k] = true
			left = append(left, k)
		}
	}
	for range 2 * tc.MaxHTBDepth { // what sits in something comes after it
		n := len(left)
		for q := range has.Qdiscs(link) {
			take(tc.Object{Qdisc: &q})
		}
		for c := range has.Classes(link) {
			take(tc.Object{Class: &c})
		}
		if len(left) == n {
			break
		}
	}
	return left
}

// restoreOne makes an object of s what it is in has, and reports whether it wasn't. What can't
// be done yet is done after others.
func restoreOne(s, has *tc.State, k key) (changed bool) {
	if k.class {
		c, there := has.Class(k.link, k.at)
		old, was := s.Class(k.link, k.at)
		switch {
		case there == was && old == c:
			return false
		case there:
			_ = s.Apply(tc.Op{Verb: tc.Replace, Class: &c})
		default:
			_ = s.Apply(tc.Op{Verb: tc.Delete, Class: &tc.Class{Link: k.link, ID: k.at}})
		}
		return true
	}
	q, there := has.Qdisc(k.link, k.at)
	old, was := s.Qdisc(k.link, k.at)
	switch {
	case there == was && old == q:
		return false
	case sameHTB(old, q): // with all that is in it: to take that out and in again takes long
		_ = s.Apply(tc.Op{Verb: tc.Change, Qdisc: &q})
		return true
	}
	_ = s.Apply(tc.Op{Verb: tc.Delete, Qdisc: &tc.Qdisc{Link: k.link, Parent: k.at}})
	if there {
		_ = s.Apply(tc.Op{Verb: tc.Add, Qdisc: &q})
	}
	return true
}

// sameHTB reports qdiscs that are one HTB, of which one side doesn't say what DirectQlen it has.
func sameHTB(a, b tc.Qdisc) bool {
	x, ok := a.Options.(tc.HTB)
	y, both := b.Options.(tc.HTB)
	if !ok || !both || x.DirectQlen.Given == y.DirectQlen.Given {
		return false
	}
	x.DirectQlen, y.DirectQlen = tc.Opt[uint32]{}, tc.Opt[uint32]{}
	a.Options, b.Options = x, y
	return a == b
}
