package tidy

import (
	"path"
	"regexp"
	"strings"
)

// unfinished are the words that mark work left for later. They are put together here so that this file isn't found.
var unfinished = regexp.MustCompile(`\b(` + "TO" + "DO|FIX" + `ME)\b`)

// markedFiles are the endings of files that people write, and names of files without one.
var markedFiles = map[string]bool{
	".go": true, ".md": true, ".c": true, ".h": true, ".sh": true, ".yml": true, ".conf": true, ".toml": true, "Makefile": true, "run": true,
}

func checkMarkers(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.Files {
		ending := path.Ext(f.Path)
		if ending == "" {
			ending = path.Base(f.Path)
		}
		if f.inTestdata() || !markedFiles[ending] {
			continue
		}
		found = append(found, f.matches(string(f.Text), unfinished, "%s: do it, or open an issue")...)
	}
	return found
}

// lineNumber matches a place in a source file by its line: name.go:12, #L12, or the words.
var lineNumber = regexp.MustCompile(`\b[\w./-]+\.(?:go|c|h|py|rs|sh|yml):\d+|#L\d+|(?i:\blines? \d+)`)

// checkLineNumbers finds documents that name lines of code: the next change makes them wrong. Symbols stay.
func checkLineNumbers(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.documents() {
		found = append(found, f.matches(string(f.Text), lineNumber, "%s is a line number: name the symbol")...)
	}
	return found
}

// matches is a finding for every match in text, which has the file's lines; format takes the match.
func (f File) matches(text string, re *regexp.Regexp, format string) []Finding {
	var found []Finding
	n := 0
	for line := range strings.Lines(text) {
		n++
		for _, match := range re.FindAllString(line, -1) {
			found = append(found, Finding{Path: f.Path, Line: n, Text: strings.Replace(format, "%s", match, 1)})
		}
	}
	return found
}

// Targets of links in Markdown: [text](target "title") and [name]: target.
var (
	inlineLink    = regexp.MustCompile(`\]\(<?([^)\s>]+)>?[^)]*\)`)
	referenceLink = regexp.MustCompile(`^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)`)
	codeSpan      = regexp.MustCompile("`[^`]*`")
	scheme        = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
)

// checkLinks wants every relative link of a document to lead to a file or a folder of the checkout.
func checkLinks(tree Tree) []Finding {
	var found []Finding
	for _, f := range tree.documents() {
		n := 0
		for line := range strings.Lines(withoutCode(string(f.Text))) {
			n++
			links := append(inlineLink.FindAllStringSubmatch(line, -1), referenceLink.FindAllStringSubmatch(line, -1)...)
			for _, link := range links {
				target, _, _ := strings.Cut(link[1], "#")
				if scheme.MatchString(target) {
					continue
				}
				if strings.HasPrefix(target, "/") || !tree.has(path.Join(f.dir(), target)) {
					found = append(found, Finding{Path: f.Path, Line: n, Text: "the link to " + link[1] + " leads nowhere"})
				}
			}
		}
	}
	return found
}

// withoutCode is Markdown with its code spans removed and its fenced code blocks emptied; lines keep their numbers.
func withoutCode(text string) string {
	var b strings.Builder
	fence := ""
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch {
		case fence == "" && (strings.HasPrefix(trimmed, "```") || strings.HasPrefix(trimmed, "~~~")):
			fence = trimmed[:3]
			line = "\n"
		case fence != "":
			if strings.HasPrefix(trimmed, fence) {
				fence = ""
			}
			line = "\n"
		}
		b.WriteString(codeSpan.ReplaceAllString(line, ""))
	}
	return b.String()
}
