package diff

import (
	"fmt"
	"io"
	"strings"

	"lqosd/replay/listing"
)

const (
	annotationsShown = 10 // of one kind, of one step of a workflow, by GitHub
	annotationLines  = 25 // of differences in one annotation
)

var (
	githubText     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// writeGitHub writes workflow commands, which GitHub Actions shows as annotations: a warning for each
// site, what is too much for its page in the last of them, and a notice with the totals.
func (r Report) writeGitHub(w io.Writer) error {
	groups := r.groups()
	var b strings.Builder
	for i, g := range groups {
		if i == annotationsShown-1 && len(groups) > annotationsShown {
			b.WriteString(r.annotation(restOf(groups[i:])))
			break
		}
		b.WriteString(r.annotation(g.title+": "+g.signs(), g.list[0], g.annotationText()))
	}
	fmt.Fprintf(&b, "::notice title=bakery-replay diff::%s\n", githubText.Replace(r.summary()))
	_, err := io.WriteString(w, b.String())
	return err
}

// annotation is a warning, at the place of its first difference where that has one in a file.
func (r Report) annotation(title string, at Difference, text string) string {
	properties := "title=" + githubProperty.Replace(title)
	if f, line := r.fileOf(at); f != "" {
		properties = fmt.Sprintf("file=%s,line=%d,%s", githubProperty.Replace(f), line, properties)
	}
	return fmt.Sprintf("::warning %s::%s\n", properties, githubText.Replace(text))
}

func (g group) annotationText() string {
	var lines []string
	section := ""
	for i, d := range g.list {
		if i == annotationLines {
			lines = append(lines, fmt.Sprintf("… %d more", len(g.list)-i))
			break
		}
		if next := d.section(); next != section {
			section = next
			lines = append(lines, section)
		}
		lines = append(lines, d.text(listing.Palette{}))
	}
	return strings.Join(lines, "\n")
}

// restOf is one annotation for many groups: how much differs in each.
func restOf(groups []group) (title string, at Difference, text string) {
	var lines []string
	n := 0
	for i, g := range groups {
		n += len(g.list)
		switch {
		case i < annotationLines:
			lines = append(lines, g.title+": "+g.signs())
		case i == annotationLines:
			lines = append(lines, fmt.Sprintf("… %d more", len(groups)-i))
		}
	}
	return fmt.Sprintf("%s in %d more groups", listing.Count(n, "difference"), len(groups)), groups[0].list[0], strings.Join(lines, "\n")
}
