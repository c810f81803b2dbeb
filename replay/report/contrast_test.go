package report

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestContrast holds the colours of all three palettes against WCAG 2.2 AA: 4.5 to 1 for text, 3 to 1 for
// what is drawn (1.4.3, 1.4.11).
func TestContrast(t *testing.T) {
	palettes := regexp.MustCompile(`(?s)\{([^{}]*--bg:[^{}]*)\}`).FindAllStringSubmatch(style, -1)
	if len(palettes) != 4 { // light, dark by the system, dark by choice, on paper
		t.Fatalf("%d palettes", len(palettes))
	}
	if strings.Join(strings.Fields(palettes[1][1]), " ") != strings.Join(strings.Fields(palettes[2][1]), " ") {
		t.Error("the two dark palettes differ")
	}
	for i, p := range palettes {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z]+): #([0-9a-f]{3,6});`).FindAllStringSubmatch(p[1], -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, behind := range []string{"bg", "panel", "soft"} {
			for _, text := range []string{"text", "muted", "accent", "added", "removed", "changed"} {
				if c := contrast(colours, text, behind); c < 4.5 {
					t.Errorf("palette %d: %s on %s has %.2f to 1", i, text, behind, c)
				}
			}
			if c := contrast(colours, "mark", behind); c < 3 {
				t.Errorf("palette %d: mark on %s has %.2f to 1", i, behind, c)
			}
		}
	}
}

func contrast(colours map[string]float64, a, b string) float64 {
	x, ok := colours[a]
	y, too := colours[b]
	if !ok || !too {
		return 0
	}
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
