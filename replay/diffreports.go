package replay

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// DiffFormats are the formats that DiffReport.Write knows.
var DiffFormats = []string{"text", "json", "markdown", "junit", "sarif", "github"}

// Write writes the report in a format of DiffFormats.
func (r DiffReport) Write(w io.Writer, format string, colour bool) error {
	switch format {
	case "text":
		return r.WriteText(w, colour)
	case "json":
		return encodeJSON(w, r)
	case "markdown":
		return r.writeMarkdown(w)
	case "junit":
		return r.writeJUnit(w)
	case "sarif":
		return r.writeSARIF(w)
	case "github":
		return r.writeGitHub(w)
	}
	return fmt.Errorf("format %q: must be one of %s", format, strings.Join(DiffFormats, ", "))
}

// foldedFrom is the number of differences from which on Markdown folds them.
const foldedFrom = 30

func (r DiffReport) writeMarkdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** (%s → %s)\n", r.Totals, r.From, r.To)
	if !r.Same() {
		folded := len(r.Differences) >= foldedFrom
		if folded {
			fmt.Fprintf(&b, "\n<details><summary>%d differences</summary>\n", len(r.Differences))
		}
		b.WriteString("\n```diff\n")
		for _, d := range r.Differences {
			text := d.text(palette{})
			if rest, ok := strings.CutPrefix(text, "~"); ok {
				text = "!" + rest // the sign that a diff block colours as a change
			}
			b.WriteString(text + "\n")
		}
		b.WriteString("```\n")
		if folded {
			b.WriteString("\n</details>\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// The JUnit XML that CI systems read: a test case for each difference, failed.
type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitFailure `xml:"failure"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (r DiffReport) writeJUnit(w io.Writer) error {
	s := junitSuite{Name: "bakery-replay diff", Tests: max(len(r.Differences), 1), Failures: len(r.Differences)}
	for _, d := range r.Differences {
		s.Cases = append(s.Cases, junitCase{Class: d.where(), Name: d.Object + " " + d.ID,
			Failure: &junitFailure{Message: d.Change, Text: d.text(palette{})}})
	}
	if r.Same() {
		s.Cases = []junitCase{{Class: "diff", Name: "no difference"}}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// where is the part of the network that differs: a link, or all of one thing.
func (d Difference) where() string {
	switch {
	case d.Link != "":
		return d.Link
	case d.Object == "mapping":
		return "address mappings"
	}
	return "opaque lines"
}

// The part of SARIF 2.1.0 (OASIS) that a report needs.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		Rules []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID string `json:"id"`
	}
	sarifResult struct {
		RuleID    string          `json:"ruleId"`
		Level     string          `json:"level"`
		Message   sarifMessage    `json:"message"`
		Locations []sarifLocation `json:"locations"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Logical []sarifLogical `json:"logicalLocations"`
	}
	sarifLogical struct {
		Name      string `json:"name"`
		Qualified string `json:"fullyQualifiedName"`
		Kind      string `json:"kind"`
	}
)

func (r DiffReport) writeSARIF(w io.Writer) error {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver.Name = "bakery-replay"
	run.Tool.Driver.Rules = []sarifRule{}
	seen := map[string]bool{}
	for _, d := range r.Differences {
		rule := d.Object + "-" + d.Change
		if !seen[rule] {
			seen[rule] = true
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{rule})
		}
		run.Results = append(run.Results, sarifResult{RuleID: rule, Level: "warning",
			Message:   sarifMessage{d.text(palette{})},
			Locations: []sarifLocation{{[]sarifLogical{{d.ID, d.where() + "/" + d.ID, d.Object}}}}})
	}
	return encodeJSON(w, sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func encodeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// writeGitHub writes workflow commands, which GitHub Actions shows as annotations.
func (r DiffReport) writeGitHub(w io.Writer) error {
	escape := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for _, d := range r.Differences {
		title := property.Replace(fmt.Sprintf("%s %s %s %s", d.where(), d.Object, d.ID, d.Change))
		if _, err := fmt.Fprintf(w, "::warning title=%s::%s\n", title, escape.Replace(d.text(palette{}))); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "::notice title=bakery-replay diff::%s\n", escape.Replace(r.Totals.String()))
	return err
}
