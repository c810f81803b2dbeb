package bus

import (
	"math"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// Every binary16 there is, compared with the library.
func TestFloat16(t *testing.T) {
	for bits := range 1 << 16 {
		var want float64
		if err := cbor.Unmarshal([]byte{cborFloat16, byte(bits >> 8), byte(bits)}, &want); err != nil {
			t.Fatal(err)
		}
		got := float16(uint16(bits))
		if math.IsNaN(want) && math.IsNaN(got) {
			continue
		}
		if math.Float64bits(got) != math.Float64bits(want) {
			t.Fatalf("float16(%#04x) = %g, want %g", bits, got, want)
		}
		if math.IsInf(want, 0) {
			continue
		}
		if back, ok := narrow(float32(want)); !ok || back != uint16(bits) {
			t.Fatalf("narrow(%g) = %#04x, %t; want %#04x", want, back, ok, bits)
		}
	}
}

func TestAppendFloatIsShortest(t *testing.T) {
	for _, f := range []float64{0, math.Copysign(0, -1), 1, 0.1, 2.5, 1e10, 65504, 65505, 65536, 1 << 24, 1<<24 + 1, 1<<53 + 2, 5.960464477539063e-08,
		8.940696716308594e-08, 2.98e-8, 1e-45, math.MaxFloat32, math.MaxFloat64, math.SmallestNonzeroFloat64, float64(float32(0.1)), -9999} {
		want, err := appendValue(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendFloat(nil, f); string(got) != string(want) {
			t.Errorf("appendFloat(%g) = % x, the library says % x", f, got, want)
		}
	}
}

func TestAppendHeadIsShortest(t *testing.T) {
	for _, n := range []uint64{0, 23, 24, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64} {
		want, err := cbor.Marshal(n)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendHead(nil, majorUint, n); string(got) != string(want) {
			t.Errorf("appendHead(%d) = % x, want % x", n, got, want)
		}
	}
}

func TestSkipTakesWholeItems(t *testing.T) {
	for _, item := range []string{
		"00", "1903e8", "3bffffffffffffffff", "43010203", "5f41014102ff", "6161", "7f61616162ff", "80", "9fff", "9f0102ff", "a0",
		"bf616101ff", "a1616182f6f5", "f93c00", "fa3f800000", "fb3ff0000000000000", "f6", "f8ff", "8181818180", "9f9f9fffffff",
	} {
		r := reader{b: append(unhex(item), 0x00)}
		if got := len(r.item()); got != len(item)/2 {
			t.Errorf("%s: item took %d bytes, want %d", item, got, len(item)/2)
		}
	}
}
