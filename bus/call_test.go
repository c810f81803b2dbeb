package bus

import (
	"strings"
	"testing"
)

func TestParseCall(t *testing.T) {
	for line, want := range map[string]string{
		`"Ping"`:                                `"Ping"`,
		"  {\"Ping\" : null}\r\n":               `"Ping"`,
		`{"A":{"h":-9007199254740993,"r":1.0}}`: `{"A":{"h":-9007199254740993,"r":1.0}}`,
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
		if got, err := r.JSON(); err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v", line, got, err)
		}
	}
	for line, want := range map[string]string{
		``: "ends where a value", `Ping`: "a value", `5`: "want text or a map", `{}`: "empty", `{"A":1,"B":2}`: "several", `""`: "name is empty", `"A" "B"`: "more after",
	} {
		if _, err := ParseCall([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", line, err, want)
		}
	}
}
