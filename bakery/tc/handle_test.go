package tc

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseHandle(t *testing.T) {
	for text, want := range map[string]Handle{
		"1:":        NewHandle(1, 0),
		"0x1:":      NewHandle(1, 0),
		"0X1:":      NewHandle(1, 0),
		"7FFF:":     NewHandle(0x7fff, 0),
		"7fff:0x1":  NewHandle(0x7fff, 1),
		"1:a":       NewHandle(1, 10),
		"0x1:0xa":   NewHandle(1, 10),
		":a":        NewHandle(0, 10),
		"ffff:fff1": Ingress,
		"ffff:ffff": Root,
		"root":      Root,
		"ingress":   Ingress,
		"clsact":    Ingress,
		"0001:000f": NewHandle(1, 15),
	} {
		got, err := ParseHandle(text)
		if err != nil || got != want {
			t.Errorf("ParseHandle(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", ":", "1", "0x", "10000:", "1:10000", "1:2:3", "g:", "1:-1", "-1:", " 1:", "Root", "0x:1x"} {
		if got, err := ParseHandle(text); err == nil {
			t.Errorf("ParseHandle(%q) = %v, want an error", text, got)
		}
	}
}

func TestParseClassID(t *testing.T) {
	tests := []struct {
		text   string
		parent Handle
		want   Handle
		err    string
	}{
		{"0x4", NewHandle(1, 3), NewHandle(1, 4), ""},
		{"4", NewHandle(1, 0), NewHandle(1, 4), ""},
		{":4", NewHandle(0x11, 0), NewHandle(0x11, 4), ""},
		{"0x1:0x4", NewHandle(1, 3), NewHandle(1, 4), ""},
		{"1:4", Root, NewHandle(1, 4), ""},
		{"1:4", Unspec, NewHandle(1, 4), ""},
		{"2:4", NewHandle(1, 3), 0, "another qdisc"},
		{"1:", NewHandle(1, 3), 0, "minor number is 0"},
		{"0x0", NewHandle(1, 3), 0, "minor number is 0"},
		{"4", Root, 0, "no major number"},
		{"10000", NewHandle(1, 3), 0, "up to ffff"},
		{"1:10000", NewHandle(1, 3), 0, "at most ffff"},
		{"-4", NewHandle(1, 3), 0, "hex number"},
		{"", NewHandle(1, 3), 0, "hex number"},
	}
	for _, tt := range tests {
		got, err := ParseClassID(tt.text, tt.parent)
		if tt.err == "" && (err != nil || got != tt.want) {
			t.Errorf("ParseClassID(%q, %v) = %v, %v; want %v", tt.text, tt.parent, got, err, tt.want)
		}
		if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("ParseClassID(%q, %v) = %v, %v; want an error about %q", tt.text, tt.parent, got, err, tt.err)
		}
	}
}

func TestHandleTextIsInverse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := Handle(rapid.Uint32().Draw(t, "handle"))
		text, err := h.MarshalText()
		if err != nil || string(text) != h.String() {
			t.Fatalf("MarshalText = %q, %v; String = %q", text, err, h)
		}
		var back Handle
		if err := back.UnmarshalText(text); err != nil || back != h {
			t.Fatalf("%q reads back as %v, %v", text, back, err)
		}
	})
}

func TestHandleString(t *testing.T) {
	for h, want := range map[Handle]string{
		Root: "root", Unspec: "none", Ingress: "ffff:fff1",
		NewHandle(1, 0): "1:", NewHandle(0x7fff, 0x10): "7fff:10", NewHandle(0, 5): ":5",
	} {
		if h.String() != want {
			t.Errorf("String of %#x is %q, want %q", uint32(h), h, want)
		}
	}
	if !NewHandle(1, 0).IsQdisc() || NewHandle(1, 1).IsQdisc() || Unspec.IsQdisc() {
		t.Error("IsQdisc is wrong")
	}
}
