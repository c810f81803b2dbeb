package diff

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"lqosd/replay/listing"
)

// The JUnit XML that CI systems read: a suite for each site, in it a test case for each difference, failed.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

func (r Report) writeJUnit(w io.Writer) error {
	took := fmt.Sprintf("%.3f", r.Took.Seconds())
	all := junitSuites{Name: "bakery-replay diff", Tests: max(len(r.Differences), 1), Failures: len(r.Differences), Time: took}
	properties := []junitProperty{{"from", r.From}, {"to", r.To}, {"totals", r.summary()}}
	for _, g := range r.groups() {
		s := junitSuite{Name: g.title, Tests: len(g.list), Failures: len(g.list), Time: "0.000", Properties: properties}
		for _, d := range g.list {
			s.Cases = append(s.Cases, d.junit(g.title))
		}
		all.Suites = append(all.Suites, s)
	}
	if r.Same() {
		all.Suites = []junitSuite{{Name: "diff", Tests: 1, Properties: properties,
			Cases: []junitCase{{Class: "diff", Name: "no difference", Time: took}}}}
	}
	all.Suites[0].Time = took // the comparison is one, and counted once
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// junit is the difference as a test case; CI systems show its name in lists, and the message when it is opened.
func (d Difference) junit(site string) junitCase {
	name := strings.ReplaceAll(d.subject(), "  ", " ")
	if s := d.section(); s != "" && d.Object != "mapping" {
		name += " on " + s
	}
	line := d.To
	if line == "" {
		line = d.From
	}
	return junitCase{Class: site, Name: name, Time: "0.000", Failure: &junitFailure{Message: d.Change + ": " + d.what(), Type: d.rule(),
		Text: d.text(listing.Palette{}) + "\n" + line}}
}

// rule names the kind of a difference: "class-changed".
func (d Difference) rule() string { return d.Object + "-" + d.Change }
