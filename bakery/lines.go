package bakery

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
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
		if r.ran[digest] || r.problems.waits(k, r.o.Now()) || line.Link != "" && (l == nil || !l.there) {
			continue
		}
		err := r.k.Execute(ctx, line.Text)
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
