package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Manual is what the manual pages of a program say that its commands don't.
type Manual struct {
	Section     int               // of man(1)
	Exit        map[string][]Term // exit codes of a command, by its name; "": of the others
	Environment []Term
	Files       []Term
	SeeAlso     []string // besides the program's own pages: "tc(8)"
}

// Term is a word and what it means.
type Term struct{ Word, Text string }

// Command is the hidden command "man", which writes a page for the program and one for each command. The pages aren't committed: a build
// installs those of its own commands. They are man(7) without a detour over Markdown, which would read the usage's <, | and * as its own.
func (m Manual) Command(root *cobra.Command) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:     "man -o DIR",
		Short:   "Write the manual pages",
		Long:    fmt.Sprintf("Writes the manual pages of %[1]s and of its commands into DIR/man%[2]d, for man %[1]s and man %[1]s-COMMAND.", root.Name(), m.Section),
		Example: fmt.Sprintf("  %[1]s man -o /usr/local/share/man\n  %[1]s man -o pages && man -l pages/man%[2]d/%[1]s.%[2]d", root.Name(), m.Section),
		Args:    Args(),
		Hidden:  true,
		RunE: func(*cobra.Command, []string) error {
			if out == "" {
				return Usagef("man needs -o DIR")
			}
			return m.write(root, filepath.Join(out, fmt.Sprint("man", m.Section)))
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "make pages below this `DIR`")
	return cmd
}

func (m Manual) write(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, cmd := range append([]*cobra.Command{root}, documented(root)...) {
		path := filepath.Join(dir, fmt.Sprintf("%s.%d", pageName(cmd), m.Section))
		if err := os.WriteFile(path, m.page(cmd), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// documented are the commands that have a page.
func documented(root *cobra.Command) (list []*cobra.Command) {
	for _, cmd := range root.Commands() {
		if cmd.IsAvailableCommand() && cmd.Name() != "completion" { // cobra's, whose help says all
			list = append(list, cmd)
		}
	}
	return list
}

func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// page is a manual page, in the language of man(7).
func (m Manual) page(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	root := cmd.Root()
	fmt.Fprintf(&b, ".TH %s %d %s \"%s\" \"%s\"\n.nh\n.ad l\n", quoted(strings.ToUpper(pageName(cmd))), m.Section, date(), quoted(root.Name()+" "+root.Version), quoted(root.Short))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", quoted(pageName(cmd)), quoted(cmd.Short))
	synopsis := cmd.UseLine()
	if cmd == root {
		synopsis = root.Name() + " COMMAND [flags]"
	}
	fmt.Fprintf(&b, ".B %s\n.SH DESCRIPTION\n", quoted(synopsis))
	paragraphs(&b, cmd.Long)
	if cmd == root {
		terms(&b, "COMMANDS", commandTerms(root))
	}
	terms(&b, "OPTIONS", flagTerms(cmd))
	if cmd.Example != "" {
		b.WriteString(".SH EXAMPLES\n")
		verbatim(&b, strings.Split(cmd.Example, "\n"))
	}
	exit := m.Exit[cmd.Name()]
	if exit == nil {
		exit = m.Exit[""]
	}
	terms(&b, "EXIT STATUS", exit)
	terms(&b, "ENVIRONMENT", m.Environment)
	terms(&b, "FILES", m.Files)
	m.seeAlso(&b, cmd)
	return b.Bytes()
}

// date is today or, for who wants to make the same pages again, $SOURCE_DATE_EPOCH (reproducible-builds.org).
func date() string {
	now := time.Now()
	if epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		now = time.Unix(epoch, 0)
	}
	return now.UTC().Format(time.DateOnly)
}

func (m Manual) seeAlso(w io.Writer, cmd *cobra.Command) {
	var others []string
	root := cmd.Root()
	for _, other := range append([]*cobra.Command{root}, documented(root)...) {
		if other != cmd {
			others = append(others, fmt.Sprintf("%s(%d)", pageName(other), m.Section))
		}
	}
	fmt.Fprintf(w, ".SH SEE ALSO\n%s\n", quoted(strings.Join(append(others, m.SeeAlso...), ",\n")))
}

func commandTerms(root *cobra.Command) (list []Term) {
	for _, cmd := range documented(root) {
		list = append(list, Term{cmd.Name(), cmd.Short + "."})
	}
	return list
}

func flagTerms(cmd *cobra.Command) (list []Term) {
	add := func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		word := "--" + f.Name
		if f.Shorthand != "" {
			word = "-" + f.Shorthand + ", " + word
		}
		if value != "" {
			word += " " + value
		}
		if d := f.DefValue; d != "" && d != "false" && d != "0" && d != "[]" {
			usage += fmt.Sprintf(" (default %s)", d)
		}
		list = append(list, Term{word, usage})
	}
	cmd.NonInheritedFlags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	return list
}

func terms(w io.Writer, title string, list []Term) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(w, ".SH %s\n", title)
	for _, t := range list {
		fmt.Fprintf(w, ".TP\n.B %s\n%s\n", quoted(t.Word), quoted(t.Text))
	}
}

// paragraphs writes text as --help shows it: lines that are indented stay lines.
func paragraphs(w io.Writer, text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			fmt.Fprintln(w, ".PP")
		}
		lines := strings.Split(paragraph, "\n")
		for len(lines) > 0 {
			n, indented := 0, strings.HasPrefix(lines[0], "  ")
			for n < len(lines) && strings.HasPrefix(lines[n], "  ") == indented {
				n++
			}
			if indented {
				verbatim(w, lines[:n])
			} else {
				for _, l := range lines[:n] {
					fmt.Fprintln(w, quoted(l))
				}
			}
			lines = lines[n:]
		}
	}
}

func verbatim(w io.Writer, lines []string) {
	fmt.Fprintln(w, ".RS 2\n.nf")
	for _, l := range lines {
		fmt.Fprintln(w, quoted(strings.TrimPrefix(l, "  ")))
	}
	fmt.Fprintln(w, ".fi\n.RE")
}

// quoted is text in which man(7) finds nothing of its own.
func quoted(text string) string {
	text = strings.NewReplacer(`\`, `\e`, `-`, `\-`, `"`, `\(dq`, `'`, `\(aq`, "`", "\\(ga", `^`, `\(ha`, `~`, `\(ti`).Replace(text)
	if strings.HasPrefix(text, ".") {
		text = `\&` + text
	}
	return text
}
