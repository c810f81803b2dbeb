package tc

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]uint32{
		"0": 0, "1600": 1600, "1600b": 1600, "10k": 10240, "10kb": 10240, "10Kb": 10240, "1m": 1 << 20, "1MB": 1 << 20,
		"1g": 1 << 30, "1gb": 1 << 30, "8kbit": 1024, "1mbit": 1 << 17, "1gbit": 1 << 27, "1.5k": 1536, "1.0001b": 1,
		"4294967295": 1<<32 - 1,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "k", "-1", "4g", "4294967296", "1 k", "1x", "inf", "1bit", "5%"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Uint32().Draw(t, "size") >> rapid.IntRange(0, 31).Draw(t, "shift")
		size <<= rapid.SampledFrom([]int{0, 10, 20, 30}).Draw(t, "unit")
		if back, err := ParseSize(FormatSize(size)); err != nil || back != size {
			t.Fatalf("%q reads back as %d, %v", FormatSize(size), back, err)
		}
	})
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"300": 300 * time.Microsecond, "300us": 300 * time.Microsecond, "300usec": 300 * time.Microsecond,
		"5ms": 5 * time.Millisecond, "5MSECS": 5 * time.Millisecond, "1s": time.Second, "1.5sec": 1500 * time.Millisecond,
		"1secs": time.Second, "0.0000015s": time.Microsecond, "1500ns": time.Microsecond, "0": 0,
	} {
		if got, err := ParseTime(text); err != nil || got != want {
			t.Errorf("ParseTime(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "s", "-1s", "1h", "5000s", "nan", "1 s"} {
		if got, err := ParseTime(text); err == nil {
			t.Errorf("ParseTime(%q) = %v, want an error", text, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Uint32().Draw(t, "micros")) * time.Microsecond
		if back, err := ParseTime(FormatTime(d)); err != nil || back != d {
			t.Fatalf("%q reads back as %v, %v", FormatTime(d), back, err)
		}
	})
}

func TestPercent(t *testing.T) {
	for text, want := range map[string]string{"5%": "5%", "5": "5%", "0.1%": "0.1%", "100%": "100%", "0": "0%", "33.333%": "33.333%"} {
		p, err := ParsePercent(text)
		if err != nil || p.String() != want {
			t.Errorf("ParsePercent(%q) = %v, %v; want %s", text, p, err, want)
		}
	}
	for _, text := range []string{"", "%", "-1%", "101%", "nan", "5%%", "inf"} {
		if p, err := ParsePercent(text); err == nil {
			t.Errorf("ParsePercent(%q) = %v, want an error", text, p)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := Percent(rapid.Uint32().Draw(t, "percent"))
		if back, err := ParsePercent(p.String()); err != nil || back != p {
			t.Fatalf("%v reads back as %d, %v; want %d", p, back, err, p)
		}
	})
}
