package bakery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"lqosd/bakery/tc"
)

// runLines runs the opaque lines that this kernel hasn't seen. Nobody can tell whether a
// line is still in force, so each is run once, and again when its link's root was built
// anew.
func (r *reconciler) runLines(ctx context.Context, tree *Tree) {
	wanted := map[string]bool{}
	for _, line := range tree.Opaque() {
		digest := lineDigest(line.Text)
		wanted[digest] = true
		k := lineKey(line)
		l := r.links[line.Link]
		if r.ran[digest] || r.problems.waits(k, r.o.Now()) || l != nil && !l.there {
			continue
		}
		err := r.execute(ctx, line.Text)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			r.refused++
			r.problems.add(r.o.Now(), Problem{Link: line.Link, Object: "line", Op: line.Text, Error: err.Error(), Seq: line.Seq, at: k})
			continue
		}
		r.writes++
		r.ran[digest] = true
		delete(r.problems, k)
	}
	for digest := range r.ran {
		if !wanted[digest] {
			delete(r.ran, digest)
		}
	}
	for k := range r.problems {
		if text, ok := strings.CutPrefix(k.text, linePrefix); ok && !wanted[lineDigest(text)] {
			delete(r.problems, k)
		}
	}
}

// lineTimeout ends a tc(8) that doesn't end by itself.
const lineTimeout = 10 * time.Second

// execute runs a line. Logs may hold some that wouldn't be accepted today.
func (r *reconciler) execute(ctx context.Context, text string) error {
	if !isOpaque(text) {
		return errors.New("it changes nothing that belongs to a tree, and isn't run")
	}
	ctx, cancel := context.WithTimeout(ctx, lineTimeout)
	defer cancel()
	return r.k.Execute(ctx, text)
}

const linePrefix = "line "

func lineKey(l OpaqueLine) key { return key{link: l.Link, text: linePrefix + l.Text} }

// lineDigest names a line in the cursor.
func lineDigest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// forgetLines makes the lines of a link be run again.
func (r *reconciler) forgetLines(tree *Tree, link string) {
	for _, line := range tree.Opaque() {
		if line.Link == link {
			delete(r.ran, lineDigest(line.Text))
		}
	}
}

// maxRan is how many digests the cursor holds.
const maxRan = 1000

// ranDigests is what the cursor holds of the lines that were run: a digest of each or, of
// many, one of all.
func (r *reconciler) ranDigests() []string {
	list := slices.Sorted(maps.Keys(r.ran))
	if len(list) > maxRan {
		return []string{lineDigest(strings.Join(list, ""))}
	}
	return list
}

// restoreRan is the inverse: what was run of the lines of the Tree that the cursor stands
// for.
func (r *reconciler) restoreRan(digests []string) {
	for _, d := range digests {
		r.ran[d] = true
	}
	if len(digests) != 1 || r.base == nil {
		return
	}
	all := map[string]bool{}
	for _, line := range r.base.Opaque() {
		all[lineDigest(line.Text)] = true
	}
	if len(all) > maxRan && lineDigest(strings.Join(slices.Sorted(maps.Keys(all)), "")) == digests[0] {
		r.ran = all
	}
}

// hasLines reports a link with opaque lines.
func (t *Tree) hasLines(link string) (has bool) {
	t.opaque.Scan(func(_ string, o OpaqueLine) bool {
		has = o.Link == link
		return !has
	})
	return has
}

// withoutLines is has without the qdiscs that only an opaque line can have put on the
// link: those of a kind that isn't modelled, where wanted has none.
func (t *Tree) withoutLines(link string, has, wanted *tc.State) *tc.State {
	if !t.hasLines(link) {
		return has
	}
	next := has
	for q := range has.Qdiscs(link) {
		_, foreign := q.Options.(tc.Foreign)
		if _, asked := wanted.Qdisc(link, q.Parent); !foreign || asked {
			continue
		}
		if next == has {
			next = has.Clone()
		}
		mustApply(next, tc.Op{Verb: tc.Delete, Qdisc: &tc.Qdisc{Link: link, Parent: q.Parent}})
	}
	return next
}
