package bus

import (
	"strings"
	"testing"
)

func TestParseCall(t *testing.T) {
	for line, want := range map[string]string{
		`"Ping"`:                                `"Ping"`,
		"  {\"Ping\" : null}\r\n":               `"Ping"`,
		`{"A":{"h":-9007199254740993,"r":1.5}}`: `{"A":{"h":-9007199254740993,"r":1.5}}`,
		`{"A":18446744073709551615}`:            `{"A":18446744073709551615}`,
		`{"A":false}`:                           `{"A":false}`,
	} {
		call, err := ParseCall([]byte(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		r, err := NewRequest(call.Name, call.Args)
		if err != nil {
			t.Fatal(err)
		}
		if got := requestText(t, r); got != want {
			t.Errorf("%s: got %s", line, got)
		}
	}
	for line, want := range map[string]string{
		``: "unexpected end", `Ping`: "beginning of value", `5`: "want text or a map", `{}`: "one entry", `{"A":1,"B":2}`: "one entry", `""`: "name is empty", `"A" "B"`: "after top-level",
	} {
		if _, err := ParseCall([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", line, err, want)
		}
	}
}
