package diff

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"lqosd/replay/listing"
)

// The part of SARIF 2.1.0 (OASIS) that a report needs.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool       sarifTool         `json:"tool"`
		Automation sarifAutomation   `json:"automationDetails"`
		Results    []sarifResult     `json:"results"`
		ColumnKind string            `json:"columnKind"`
		Properties map[string]string `json:"properties"`
		Invocation []sarifInvocation `json:"invocations"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		Rules []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID    string       `json:"id"`
		Short sarifMessage `json:"shortDescription"`
		Help  sarifMessage `json:"help"`
	}
	sarifAutomation struct {
		ID string `json:"id"`
	}
	sarifInvocation struct {
		Successful bool `json:"executionSuccessful"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifMessage      `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifMessage struct {
		Text string `json:"text"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name      string `json:"name"`
		Qualified string `json:"fullyQualifiedName"`
		Kind      string `json:"kind"`
	}
)

// objectWords say what an object is.
var objectWords = map[string]string{
	"class": "The class of a site or circuit", "qdisc": "A queueing discipline", "mapping": "The mapping of an address to a class",
	"line": "A line that is passed to tc as it is,", "link": "A link",
}

func (r Report) writeSARIF(w io.Writer) error {
	run := sarifRun{Results: []sarifResult{}, ColumnKind: "unicodeCodePoints", Automation: sarifAutomation{"bakery-replay/diff/"},
		Properties: map[string]string{"from": r.From, "to": r.To, "totals": r.summary()}, Invocation: []sarifInvocation{{true}}}
	run.Tool.Driver.Name = "bakery-replay"
	run.Tool.Driver.Rules = []sarifRule{}
	var rules []string
	for _, d := range r.Differences {
		i := slices.Index(rules, d.rule())
		if i < 0 {
			i, rules = len(rules), append(rules, d.rule())
			text := objectWords[d.Object] + " was " + d.Change + "."
			run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{d.rule(), sarifMessage{text},
				sarifMessage{text + " The message tells what has to happen to turn the first side of the comparison into the second."}})
		}
		run.Results = append(run.Results, sarifResult{RuleID: d.rule(), RuleIndex: i, Level: "warning",
			Message: sarifMessage{d.message()}, Locations: []sarifLocation{r.sarifLocation(d)},
			Fingerprints: map[string]string{"difference/v1": d.fingerprint()}})
	}
	return encodeJSON(w, sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

// message is the difference where no list says in which site and on which link it is.
func (d Difference) message() string {
	text := d.group()
	if s := d.section(); s != "" {
		text += ", " + s
	}
	return text + ": " + d.text(listing.Palette{})
}

// fingerprint is the same for the same thing that differs in the same fields, whatever their values are.
func (d Difference) fingerprint() string {
	parts := []string{d.Object, d.Change, d.Link, d.ID, d.Name}
	for _, f := range d.Fields {
		parts = append(parts, f.Name)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:16])
}

func (r Report) sarifLocation(d Difference) sarifLocation {
	where := append(append([]string{}, d.Site...), d.section(), d.ID)
	l := sarifLocation{Logical: []sarifLogical{{d.ID, strings.Join(where, "/"), d.Object}}}
	if f, line := r.fileOf(d); f != "" {
		l.Physical = &sarifPhysical{sarifArtifact{fileURI(f)}, sarifRegion{line}}
	}
	return l
}

// fileURI is a file's name as RFC 3986 writes it: a relative one stays so, as code scanning wants it.
func fileURI(name string) string {
	u := url.URL{Path: filepath.ToSlash(filepath.Clean(name))}
	if filepath.IsAbs(name) {
		u.Scheme = "file"
	}
	return u.String()
}
