package replay

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// WriteTree prints a Tree for people: each link's qdiscs and classes, indented,
// with names, rates and leaves. link chooses one; "" takes all.
func WriteTree(w io.Writer, t *bakery.Tree, link string) error {
	p := treePrinter{w: w, t: t}
	for _, l := range t.State().Links() {
		if link == "" || l == link {
			p.link(l)
		}
	}
	if link == "" {
		p.mappings()
		for _, o := range t.Opaque() {
			p.line("", "opaque, record %d: %s", o.Seq, o.Text)
		}
	}
	return p.err
}

type treePrinter struct {
	w   io.Writer
	t   *bakery.Tree
	err error
}

func (p *treePrinter) line(prefix, format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, prefix+format+"\n", args...)
	}
}

func (p *treePrinter) link(link string) {
	p.line("", "%s", link)
	s := p.t.State()
	var queues []tc.Qdisc
	for q := range s.Qdiscs(link) {
		switch {
		case q.Parent == tc.Root || q.Parent == tc.Ingress:
			p.line("  ", "%s", qdiscText(q))
		case q.Options.Kind() == "htb":
			queues = append(queues, q)
		}
	}
	slices.SortFunc(queues, func(a, b tc.Qdisc) int { return int(a.Handle) - int(b.Handle) })
	for _, q := range queues {
		p.line("  ", "%s %s", q.Handle, qdiscText(q))
		p.children(link, q.Handle, "  ")
	}
}

func (p *treePrinter) children(link string, parent tc.Handle, indent string) {
	kids := slices.Collect(p.t.State().Children(link, parent))
	for i, c := range kids {
		branch, below := "├─ ", "│  "
		if i == len(kids)-1 {
			branch, below = "└─ ", "   "
		}
		p.line(indent+branch, "%s", p.classText(c))
		p.children(link, c.ID, indent+below)
	}
}

func (p *treePrinter) classText(c tc.Class) string {
	parts := []string{c.ID.String()}
	if n, ok := p.t.Note(c.Link, c.ID); ok {
		if name := n.Name(c.ID); name != "" {
			parts = append(parts, name)
		}
	}
	parts = append(parts, fmt.Sprintf("%s … %s", c.HTB.Rate, c.HTB.Ceil))
	if leaf, ok := p.t.State().Qdisc(c.Link, c.ID); ok {
		parts = append(parts, leaf.Handle.String()+" "+qdiscText(leaf))
	}
	return strings.Join(parts, "  ")
}

// qdiscText is kind and options as tc(8) writes them.
func qdiscText(q tc.Qdisc) string {
	return strings.TrimRight(q.Options.Kind()+" "+q.Options.String(), " ")
}

// mappingsShown is how many address mappings a listing names.
const mappingsShown = 20

func (p *treePrinter) mappings() {
	n := p.t.MappingCount()
	if n == 0 {
		return
	}
	p.line("", "%d address mappings", n)
	shown := 0
	for m := range p.t.Mappings {
		if shown++; shown > mappingsShown {
			p.line("  ", "… %d more: --json has all", n-mappingsShown)
			return
		}
		p.line("  ", "%s → %s cpu %d%s", m.Prefix, m.Handle, m.CPU, direction(m.Upload))
	}
}
