package bus

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// genArgs is what a call may have for arguments.
func genArgs(t *rapid.T) any {
	switch rapid.IntRange(0, 6).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return (*struct{})(nil)
	case 2:
		return rapid.String().Draw(t, "text")
	case 3:
		return rapid.SliceOf(rapid.Int()).Draw(t, "list")
	case 4:
		return rapid.Make[struct {
			Number float32 `json:"number"`
			Name   *string `json:"name"`
			Hash   int64   `json:"hash"`
		}]().Draw(t, "struct")
	case 5:
		return map[string]any(nil)
	}
	return rapid.MapOfN(rapid.String(), rapid.Map(rapid.Int64(), func(n int64) any { return n }), 0, 1).Draw(t, "map") // more have no order
}

// TestOneCallIsEncodedLikeMany: the short way to encode a session of one call gives the bytes that the long way gives.
func TestOneCallIsEncodedLikeMany(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		calls := []Call{{Name: rapid.StringN(0, 30, 300).Draw(t, "name"), Args: genArgs(t)}}
		got, err := marshalSession(new(bytes.Buffer), CBOR, "", calls)
		want, wantErr := marshalCalls(CBOR, "", calls)
		if !bytes.Equal(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("% x, %v\nwant % x, %v", got, err, want, wantErr)
		}
	})
	if _, err := marshalSession(new(bytes.Buffer), CBOR, "", []Call{{Name: "X", Args: func() {}}}); err == nil || !strings.Contains(err.Error(), "encoding request X") {
		t.Errorf("a function as arguments: %v", err)
	}
}

// TestOneRequestIsReadLikeMany: the short way to read a document of one request says of any document what the long way says.
func TestOneRequestIsReadLikeMany(t *testing.T) {
	short := 0
	rapid.Check(t, func(t *rapid.T) {
		payload, err := marshalSession(new(bytes.Buffer), CBOR, "", []Call{{Name: rapid.StringN(0, 30, 255).Draw(t, "name"), Args: genArgs(t)}})
		if err != nil {
			return // no name
		}
		for range rapid.IntRange(0, 3).Draw(t, "edits") {
			at := rapid.IntRange(0, len(payload)-1).Draw(t, "at")
			switch b := rapid.Byte().Draw(t, "byte"); rapid.IntRange(0, 3).Draw(t, "edit") {
			case 0:
				payload[at] = b
			case 1:
				payload = append(payload[:at:at], payload[at+1:]...)
			case 2:
				payload = append(payload[:at:at], append([]byte{b}, payload[at:]...)...)
			case 3:
				payload = append(payload, b)
			}
			if len(payload) == 0 {
				return
			}
		}
		if _, ok := oneRequestOf(payload); ok {
			short++
		}
		_, _, _ = parseSession(payload, 1) // its name is known from now on
		got, gotCodec, gotErr := parseSession(payload, 1)
		knownNames.Store(nil)
		want, wantCodec, wantErr := parseRequests(payload, 1)
		if d := cmp.Diff(textOf(want), textOf(got)); d != "" || gotCodec != wantCodec || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Fatalf("% x: %v, %v; want %v, %v\n%s", payload, gotCodec, gotErr, wantCodec, wantErr, d)
		}
	})
	if short == 0 {
		t.Error("the short way was never taken")
	}
	for _, bad := range [][]byte{
		append(bytes.Clone(oneRequest), 0x61, 'X', 0xc1, 0x01),                                // a tag
		append(bytes.Clone(oneRequest), 0x61, 0xff, 0x01),                                     // no utf-8
		append(append(bytes.Clone(oneRequest), 0x61, 'X'), bytes.Repeat([]byte{0x81}, 40)...), // too deep, and no end
		append(bytes.Clone(oneRequest), 0x61, 'X'),
	} {
		got, _, gotErr := parseSession(bad, 1)
		want, _, wantErr := parseRequests(bad, 1)
		if d := cmp.Diff(textOf(want), textOf(got)); d != "" || fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
			t.Errorf("% x: %v; want %v\n%s", bad, gotErr, wantErr, d)
		}
	}
}

// textOf is all that a session says.
func textOf(s Session) (text []string) {
	for _, r := range s.Requests {
		text = append(text, fmt.Sprintf("%q %v %v % x %v", r.Name, r.HasBody(), r.body.codec, r.body.data, r.Err()))
	}
	return append(text, s.Key)
}

// TestFewNamesAreKnown: however many and however long names come.
func TestFewNamesAreKnown(t *testing.T) {
	knownNames.Store(nil)
	names := []string{strings.Repeat("n", maxKnownName), strings.Repeat("n", maxKnownName+1)}
	for i := range 2 * maxKnownNames {
		names = append(names, fmt.Sprintf("Name%d", i))
	}
	for range 2 {
		for _, name := range names {
			payload, err := marshalSession(new(bytes.Buffer), CBOR, "", []Call{{Name: name, Args: 1}})
			if err != nil {
				t.Fatal(err)
			}
			s, _, err := parseSession(payload, 1)
			if err != nil || s.Requests[0].Name != name {
				t.Fatalf("%q is %q, %v", name, s.Requests[0].Name, err)
			}
		}
	}
	known := *knownNames.Load()
	if _, long := known[names[1]]; long || len(known) != maxKnownNames || known[names[0]] != names[0] {
		t.Errorf("%d names are known, the long one too: %v", len(known), long)
	}
}
