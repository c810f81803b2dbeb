package bus

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestCheckJSON(t *testing.T) {
	for _, text := range []string{
		``, `}]`, `"[[["`, `"\"[\\"`, strings.Repeat("[", 32) + strings.Repeat("]", 32), strings.Repeat(`[{"a":[]}],`, 100),
		"[" + strings.Repeat("1,", maxElements-1) + "1]", strings.Repeat("["+strings.Repeat("1,", maxElements/2)+"1]", 4),
	} {
		if err := checkJSON([]byte(text)); err != nil {
			t.Errorf("%.40q: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		strings.Repeat("[", 33):                             "nested deeper than 32",
		strings.Repeat(`{"a":`, 1<<20):                      "nested deeper than 32",
		`{"a":"[\"[",` + strings.Repeat(`"b":[`, 32):        "nested deeper than 32",
		"[" + strings.Repeat("1,", maxElements) + "1]":      "more than 1048576 elements",
		"[[" + strings.Repeat(`[1,1],`, maxElements) + "1]": "more than 1048576 elements",
		"\"\xff\"": "utf-8",
	} {
		if err := checkJSON([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want an error with %q", text, err, want)
		}
	}
}

// Names are as they are written, in both codecs, and come once.
func TestNamesAreStrict(t *testing.T) {
	const unknown, twice = "decoding X: field %s: unknown, want %s", "decoding X: field %s: given twice"
	type outer struct {
		inner
		Minor uint16            `json:"class_minor,omitempty"`
		List  []inner           `json:"list,omitempty"`
		Map   map[string]*inner `json:"map,omitempty"`
		Any   any               `json:"any,omitempty"`
		Raw   json.RawMessage   `json:"raw,omitempty"`
		Lists [][]int           `json:"lists,omitempty"`
	}
	for _, tt := range []struct{ text, json, cbor string }{
		{`{"name":"n","class_minor":1}`, "", ""},
		{` { "name" : "n" , "list" : [ { "name" : "}\\\"{" } , {} ] , "map" : { } , "any" : [ { "a" : 1 } ] , "lists":[[1],[]] , "raw" : {"Name":1} } `, "", ""},
		{`{"x":1,"n\u0061me":"n","y":{"Name":1,"name":[{}]}}`, "", ""},
		{`{"name":"n","Class_minor":1}`, fmt.Sprintf(unknown, "Class_minor", "class_minor"), "same"},
		{`{"class_minor":1,"NAME":"n"}`, fmt.Sprintf(unknown, "NAME", "name"), "same"},
		{`{"name":"n","n\u0041me":"n"}`, fmt.Sprintf(unknown, "nAme", "name"), "same"},
		{`{"name":"n","claſſ_minor":1}`, fmt.Sprintf(unknown, "claſſ_minor", "class_minor"), "same"},
		{`{"name":"n","list":[{"name":"n"},{"Name":"n"}]}`, fmt.Sprintf(unknown, "Name", "name"), ""},
		{`{"name":"n","map":{"Name":{"name":"n"},"b":{"nAme":"n"}}}`, fmt.Sprintf(unknown, "nAme", "name"), ""},
		{`{"name":"n","x":[1,{"y":"\\"}],"name":"n"}`, fmt.Sprintf(twice, "name"), ""},
		{`{"name":"n","n\u0061me":"n"}`, fmt.Sprintf(twice, "name"), ""},
		{`{"name":"n","x":1,"x":2}`, fmt.Sprintf(twice, "x"), ""},
		{`{"name":"n","map":{"b":{"name":"n"},"b":{"name":"n"}}}`, fmt.Sprintf(twice, "b"), ""},
		{`{"name":"n","any":[{"a":{"b":1,"b":2}}]}`, fmt.Sprintf(twice, "b"), ""},
		{`{"name":"n","list":[{"name":"n","name":"n"}]}`, fmt.Sprintf(twice, "name"), ""},
	} {
		if got := errorText(decodeJSON(t, tt.text, new(outer))); got != tt.json {
			t.Errorf("%s: got %q, want %q", tt.text, got, tt.json)
		}
		want := strings.Replace(tt.cbor, "same", tt.json, 1)
		if got := errorText(decodeCBOR(t, tt.text, new(outer))); got != want && (tt.json == "" || tt.cbor != "") {
			t.Errorf("%s in CBOR: got %q, want %q", tt.text, got, want)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A value is passed over as encoding/json delimits it.
func TestJSONTextSkip(t *testing.T) {
	for _, value := range []string{
		`0`, `-1.5e3`, `true`, `null`, `""`, `"\""`, `"\\"`, `"\\\""`, `"a,]}b"`, `[]`, `{}`, `[[],{}]`, `{"a":[1,"]",{"b\"}":null}]}`, `[1,2 , 3]`,
	} {
		for _, form := range []string{"%s", " %s ", "[%s]", "[ %s ]", "[%s,1]", "[%s ,1]", `{"a":%s}`, `{ "a" : %s , "b":1}`} {
			text := fmt.Sprintf(form, value)
			if !json.Valid([]byte(text)) {
				t.Fatalf("%s is no JSON", text)
			}
			j := jsonText{[]byte(text)}
			switch strings.TrimSpace(form)[0] {
			case '[':
				j.enter('[')
			case '{':
				j.enter('{')
				j.name()
			}
			if got := string(j.skip()); got != value {
				t.Errorf("%s: got %s, want %s", text, got, value)
			}
		}
	}
}
