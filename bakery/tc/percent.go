package tc

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Percent is a probability as the kernel keeps it: 0 is never, 2^32-1 always.
type Percent uint32

// ParsePercent reads "5%" or "5", both five in a hundred, from 0 to 100.
func ParsePercent(s string) (Percent, error) {
	v, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || math.IsNaN(v) || v < 0 || v > 100 {
		return 0, fmt.Errorf("percentage %q: want a number from 0 to 100 and %%", s)
	}
	return Percent(math.RoundToEven(v / 100 * math.MaxUint32)), nil
}

// String is the shortest decimal that reads back as the same Percent.
func (p Percent) String() string {
	v := float64(p) * 100 / math.MaxUint32
	for digits := range 16 {
		s := strconv.FormatFloat(v, 'f', digits, 64)
		if back, err := ParsePercent(s); err == nil && back == p {
			return s + "%"
		}
	}
	return strconv.FormatFloat(v, 'f', -1, 64) + "%"
}
