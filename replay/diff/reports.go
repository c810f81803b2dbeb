package diff

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Formats are the formats that Report.Write knows.
var Formats = []string{"text", "json", "markdown", "junit", "sarif", "github"}

// Write writes the report in a format of Formats.
func (r Report) Write(w io.Writer, format string, colour bool) error {
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
	return fmt.Errorf("format %q: must be one of %s", format, strings.Join(Formats, ", "))
}

func encodeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
