package tc

import (
	"bufio"
	"math"
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"1000":                     1000,
		"1000bit":                  1000,
		"20mbit":                   20 * Mbit,
		"20Mbit":                   20 * Mbit,
		"20MBIT":                   20 * Mbit,
		"1234.56mbit":              1234560 * Kbit,
		"1.0gbit":                  Gbit,
		".5kbit":                   500,
		"5.kbit":                   5000,
		"+5kbit":                   5000,
		"1e3kbit":                  Mbit,
		"1E-3mbit":                 Kbit,
		"0.0000000000001tbit":      0,
		"2.5bit":                   2,
		"1tbit":                    Tbit,
		"1kibit":                   1024,
		"1Mibit":                   1 << 20,
		"1gibit":                   1 << 30,
		"1tibit":                   1 << 40,
		"1bps":                     8,
		"1Bps":                     8,
		"1kbps":                    8000,
		"1KBps":                    8000,
		"1mbps":                    8 * Mbit,
		"1gbps":                    8 * Gbit,
		"1tbps":                    8 * Tbit,
		"1kibps":                   8 << 10,
		"1MiBps":                   8 << 20,
		"1gibps":                   8 << 30,
		"1tibps":                   8 << 40,
		"18446744073709551615":     math.MaxUint64,
		"00000000000000000000001":  1,
		"1844674407370955161.5e1":  math.MaxUint64,
		"0.1000000000000000000001": 0,
		"0e99999":                  0,
		"1844674407370955161.90":   1844674407370955161,
	} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("ParseRate(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for text, why := range map[string]string{
		"": "want a number", "mbit": "want a number", "-5mbit": "negative", "nan": "want a number",
		"inf": "want a number", "5%": "percentage", "5 mbit": "want a number", "5qbit": "want a number",
		"0x10kbit": "want a number", "1.2.3": "want a number", "5e": "want a number", ".": "want a number",
		"18446744073709551616": "more than", "19000000tbit": "more than", "1e30": "more than",
	} {
		if got, err := ParseRate(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("ParseRate(%q) = %d, %v; want an error about %q", text, got, err, why)
		}
	}
}

func TestRateString(t *testing.T) {
	for r, want := range map[Rate]string{
		0: "0bit", 1001: "1001bit", 1234560 * Kbit: "1234560kbit", 20 * Mbit: "20mbit",
		Gbit: "1gbit", 1500 * Mbit: "1500mbit", 3000 * Tbit: "3000tbit", math.MaxUint64: "18446744073709551615bit",
	} {
		if r.String() != want {
			t.Errorf("String of %d is %q, want %q", uint64(r), r, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		r := Rate(rapid.Uint64().Draw(t, "rate"))
		if back, err := ParseRate(r.String()); err != nil || back != r {
			t.Fatalf("%q reads back as %d, %v", r, back, err)
		}
	})
}

func TestRateFromMbps(t *testing.T) {
	for mbps, want := range map[float64]Rate{
		0: 0, 1234.56: 1234560000, 0.01: 10000, 1e-7: 0, 5e-7: 0, 1e13: 1e19, math.SmallestNonzeroFloat64: 0,
	} {
		if got, err := RateFromMbps(mbps); err != nil || got != want {
			t.Errorf("RateFromMbps(%v) = %d, %v; want %d", mbps, got, err, want)
		}
	}
	for _, mbps := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, -1e-300, 1.9e13, math.MaxFloat64} {
		if got, err := RateFromMbps(mbps); err == nil {
			t.Errorf("RateFromMbps(%v) = %d, want an error", mbps, got)
		}
	}
	if Rate(1234560000).Mbps() != 1234.56 {
		t.Error("Mbps is not the inverse")
	}
}

// The oracle computes with fractions.
func TestRateFromMbpsIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mbps := rapid.OneOf(
			rapid.Float64Range(0, 1.8e13),
			rapid.Float64Range(0, 1e5),
			rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.Uint32().Draw(t, "halves")) / 2e6 }),
			rapid.Custom(func(t *rapid.T) float64 { return float64(rapid.Uint64().Draw(t, "bits")>>1) / 1e6 }),
		).Draw(t, "mbps")
		exact := new(big.Rat).SetFloat64(mbps)
		exact.Mul(exact, big.NewRat(1e6, 1))
		want := nearest(exact)
		got, err := RateFromMbps(mbps)
		if !want.IsUint64() {
			return
		}
		if err != nil || uint64(got) != want.Uint64() {
			t.Fatalf("RateFromMbps(%v) = %d, %v; want %v", mbps, uint64(got), err, want)
		}
	})
}

// nearest rounds to the nearest whole number, ties to even.
func nearest(r *big.Rat) *big.Int {
	twice := new(big.Int).Mul(r.Num(), big.NewInt(2))
	twice.Add(twice, r.Denom())
	den := new(big.Int).Mul(r.Denom(), big.NewInt(2))
	q, rest := new(big.Int).DivMod(twice, den, new(big.Int))
	if rest.Sign() == 0 && q.Bit(0) == 1 {
		q.Sub(q, big.NewInt(1))
	}
	return q
}

// TestNumberFormat compares with what clients wrote: rate text and quantum.
func TestNumberFormat(t *testing.T) {
	f, err := os.Open("../../testdata/golden/number-format.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Scan() // the heading
	rows := 0
	for ; lines.Scan(); rows++ {
		col := strings.Split(lines.Text(), "\t")
		mbps, errRate := strconv.ParseFloat(col[0], 64)
		r2q, errR2Q := strconv.ParseUint(col[1], 10, 64)
		if errRate != nil || errR2Q != nil {
			t.Fatalf("row %q: %v %v", lines.Text(), errRate, errR2Q)
		}
		if got := string(AppendMbps(nil, mbps)); got != col[2] || got != col[3] {
			t.Errorf("AppendMbps(%v) = %q, want %q", mbps, got, col[2])
		}
		got, err := Quantum(mbps, r2q)
		if want := strconv.FormatUint(got, 10); err != nil || want != col[4] || want != col[5] {
			t.Errorf("Quantum(%v, %d) = %d, %v; want %s", mbps, r2q, got, err, col[4])
		}
	}
	if rows < 100 {
		t.Errorf("only %d rows", rows)
	}
}

func BenchmarkRateFromMbps(b *testing.B) {
	for b.Loop() {
		if r, err := RateFromMbps(1234.56); r != 1234560000 || err != nil {
			b.Fatal(r, err)
		}
	}
}
