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
	for range tc.MaxHTBDepth { // a class goes after what is below it
		for _, k := range failed {
			restoreOne(s, has, k)
		}
	}
	return s
}

// restoreOne makes an object of s what it is in has. What can't be done yet is done after
// others.
func restoreOne(s, has *tc.State, k key) {
	if k.class {
		if c, there := has.Class(k.link, k.at); there {
			_ = s.Apply(tc.Op{Verb: tc.Replace, Class: &c})
			return
		}
		_ = s.Apply(tc.Op{Verb: tc.Delete, Class: &tc.Class{Link: k.link, ID: k.at}})
		return
	}
	q, there := has.Qdisc(k.link, k.at)
	if old, ok := s.Qdisc(k.link, k.at); ok && there && old == q {
		return
	}
	_ = s.Apply(tc.Op{Verb: tc.Delete, Qdisc: &tc.Qdisc{Link: k.link, Parent: k.at}})
	if there {
		_ = s.Apply(tc.Op{Verb: tc.Add, Qdisc: &q})
	}
}
