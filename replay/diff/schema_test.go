package diff

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// schemas are compiled once: SARIF's is large.
var schemas = map[string]func() (*jsonschema.Schema, error){
	"json":  sync.OnceValues(func() (*jsonschema.Schema, error) { return compileSchema("../../docs/schema/diff.schema.json") }),
	"sarif": sync.OnceValues(func() (*jsonschema.Schema, error) { return compileSchema("testdata/sarif/sarif-schema-2.1.0.json") }),
}

func compileSchema(path string) (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return c.Compile(path)
}

// checkFormat fails where a report isn't what its format demands.
func checkFormat(t testing.TB, format string, text []byte) {
	t.Helper()
	switch format {
	case "json", "sarif":
		if err := validate(format, text); err != nil {
			t.Errorf("%s: %v\n%s", format, err, text)
		}
	case "junit":
		d := xml.NewDecoder(bytes.NewReader(text))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatalf("junit: %v\n%s", err, text)
			}
		}
	case "markdown":
		if len(text) > commentLimit {
			t.Errorf("markdown: %d bytes are no comment", len(text))
		}
	case "github":
		if n := bytes.Count(text, []byte("::warning ")); n > 10 {
			t.Errorf("github: %d annotations", n)
		}
	}
}

func validate(format string, text []byte) error {
	s, err := schemas[format]()
	if err != nil {
		return err
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(v)
}
