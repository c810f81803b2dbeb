package bus

import (
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
