package bus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tableRows are the rows of all tables of a section of docs/bus.md: cells without their code marks.
func tableRows(t *testing.T, section string) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile("../docs/bus.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("docs/bus.md has no section %s", section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], "` ")
		}
		rows = append(rows, cells)
	}
	return rows
}

func TestDocumentVectors(t *testing.T) {
	documents := 0
	var frames [][]byte
	for _, row := range tableRows(t, "Test vectors") {
		if strings.HasPrefix(row[0], "to the") {
			frames = append(frames, unhex(row[1]))
		}
		if !strings.HasPrefix(row[0], "{") {
			continue
		}
		documents++
		var fromJSON, fromCBOR map[string]any
		if err := JSON.unmarshal([]byte(row[0]), &fromJSON); err != nil {
			t.Errorf("%s: %v", row[0], err)
		}
		if err := CBOR.unmarshal(unhex(row[1]), &fromCBOR); err != nil {
			t.Errorf("%s: %v", row[1], err)
		}
		if diff := cmp.Diff(fromJSON, floats(fromCBOR)); diff != "" {
			t.Errorf("%s: (-json +cbor)\n%s", row[0], diff)
		}
	}
	if documents < 5 || len(frames) != 2 {
		t.Fatalf("%d documents, %d frames", documents, len(frames))
	}
	nc := dialRaw(t, serve(t, accepting(ackAll)))
	send(t, nc, frames[0])
	if got := receive(t, nc, len(frames[1])); !bytes.Equal(got, frames[1]) {
		t.Errorf("the server answers % x, the document says % x", got, frames[1])
	}
}

func TestDocumentErrorTexts(t *testing.T) {
	nc := dialRaw(t, serve(t, accepting(replyAll(func(r Request) Reply {
		var site struct {
			Hash  int64  `json:"site_hash"`
			Minor uint16 `json:"class_minor"`
		}
		if r.Name == "BakeryAddSite" {
			return Fail(fmt.Sprint(r.Decode(&site)))
		}
		return Fail(fmt.Sprint(r.Err()))
	}))))
	n := 0
	for _, row := range tableRows(t, "Answers") {
		question := row[0]
		if strings.HasPrefix(question, `{"site_hash"`) {
			question = `{"requests":[{"BakeryAddSite":` + question + `}]}`
		}
		if !strings.HasPrefix(question, `{"requests"`) && question != "{}" && !strings.HasPrefix(question, `{"key"`) {
			continue
		}
		n++
		var answer struct{ Responses []struct{ Fail string } }
		if text := ask(t, nc, question); json.Unmarshal([]byte(text), &answer) != nil {
			// A bare Ack among them is no Fail.
			t.Errorf("%s: got %s", question, text)
			continue
		}
		got := answer.Responses[0].Fail
		if strings.Contains(question, `"Ping",5`) {
			got = answer.Responses[1].Fail
		}
		if got != row[1] {
			t.Errorf("%s: got %q, the document says %q", question, got, row[1])
		}
	}
	if n < 12 {
		t.Errorf("%d rows", n)
	}
}

func TestDocumentLimits(t *testing.T) {
	o := Options{}.withDefaults()
	said := map[string]string{}
	for _, row := range tableRows(t, "Limits") {
		said[row[0]], _, _ = strings.Cut(strings.ReplaceAll(row[1], ",", " "), " ")
	}
	for name, value := range map[string]any{
		"MaxPayload": MaxPayload, "MaxChunk": MaxChunk, "nesting": maxDepth, "elements of a list, entries of a map": maxElements, "name of a request": maxName, "key": maxKey,
		"MaxRequests": o.MaxRequests, "MaxConns": o.MaxConns, "MaxInflight": o.MaxInflight, "MaxInflightBytes": o.MaxInflightBytes, "MaxAnswerBytes": o.MaxAnswerBytes, "MaxMemory": o.MaxMemory, "MaxUserConns": o.MaxUserConns,
		"HandshakeTimeout": o.HandshakeTimeout, "FrameTimeout": o.FrameTimeout, "WriteTimeout": o.WriteTimeout, "DrainTimeout": o.DrainTimeout,
	} {
		if said[name] != fmt.Sprint(value) {
			t.Errorf("%s is %v, the document says %q", name, value, said[name])
		}
	}
}
