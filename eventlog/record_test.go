package eventlog

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var cmpRaw = cmp.AllowUnexported(rawRecord{})

func TestRecordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []rawRecord
		var b []byte
		for range rapid.IntRange(1, 20).Draw(t, "records") {
			r := rawRecord{data: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data"), end: rapid.Bool().Draw(t, "end")}
			if r.end {
				r.key = rapid.StringN(0, 30, MaxKey).Draw(t, "key")
			}
			want = append(want, r)
			b = r.append(b)
		}
		var got []rawRecord
		for len(b) > 0 {
			r, rest, err := cutRecord(b)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r)
			b = rest
		}
		if diff := cmp.Diff(want, got, cmpRaw); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestCutOffRecordIsCorrupt(t *testing.T) {
	for _, r := range []rawRecord{
		{data: []byte(strings.Repeat("d", 200)), end: true, key: "some key"},
		{data: []byte("d")},
	} {
		b := r.append(nil)
		for n := range b {
			if _, _, err := cutRecord(b[:n]); !errors.Is(err, ErrCorrupt) {
				t.Errorf("first %d of %d bytes: %v", n, len(b), err)
			}
		}
	}
	for name, b := range map[string][]byte{
		"key of length 0":    {recordKeyed | recordEnd, 0},
		"key of length 129":  append([]byte{recordKeyed | recordEnd, 129}, make([]byte, 200)...),
		"key before the end": {recordKeyed, 1, 'k'},
		"endless varint":     {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"length over 64 MiB": append([]byte{0x84, 0x80, 0x80, 0x80, 0x01},
			make([]byte, 100)...),
	} {
		if _, _, err := cutRecord(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
