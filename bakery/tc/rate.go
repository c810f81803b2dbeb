package tc

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Rate is a bandwidth in bits per second.
type Rate uint64

// Multiples of a bit per second.
const (
	Bit  Rate = 1
	Kbit      = 1000 * Bit
	Mbit      = 1000 * Kbit
	Gbit      = 1000 * Mbit
	Tbit      = 1000 * Gbit
)

// BytesPerSecond is the rate as the kernel keeps it: whole bytes per second,
// rounded down as tc(8) does.
func (r Rate) BytesPerSecond() uint64 { return uint64(r) / 8 }

// RateFromMbps is mbps × 1,000,000 bit/s, computed exactly from the binary64
// value and rounded to the nearest bit/s, ties to even. NaN, infinite and
// negative values and those over 64 bits are errors.
func RateFromMbps(mbps float64) (Rate, error) {
	if math.IsNaN(mbps) || math.IsInf(mbps, 0) {
		return 0, fmt.Errorf("rate %v Mbit/s: not a finite number", mbps)
	}
	if mbps < 0 {
		return 0, fmt.Errorf("rate %v Mbit/s: negative", mbps)
	}
	bps := mbps * 1e6
	low := math.FMA(mbps, 1e6, -bps) // what the product lost: bps+low is exact
	if bps >= 1<<64 {
		return 0, fmt.Errorf("rate %v Mbit/s: more than %d bit/s", mbps, uint64(math.MaxUint64))
	}
	return Rate(roundSum(bps, low)), nil
}

// roundSum is hi+low rounded to the nearest whole number, ties to even, for low
// at most half a unit in the last place of hi.
func roundSum(hi, low float64) uint64 {
	whole := math.Floor(hi)
	n, frac := uint64(whole), hi-whole
	if hi >= 1<<52 { // hi is whole, so the fraction is all in low
		whole = math.Floor(low)
		n, frac = n+uint64(int64(whole)), low-whole
		low = 0
	}
	// Halves below 2^52 are float64 values, so low can't cross one.
	if frac > 0.5 || frac == 0.5 && (low > 0 || low == 0 && n%2 == 1) {
		n++
	}
	return n
}

// Mbps is r in Mbit/s, the nearest binary64 value.
func (r Rate) Mbps() float64 { return float64(r) / 1e6 }

// rateUnits are the suffixes of tc(8), which takes them in any case ("Mbit" and
// "MBPS" too); bps is bytes per second.
var rateUnits = []struct {
	name string
	bits uint64
}{
	{"bit", 1},
	{"kibit", 1 << 10},
	{"kbit", 1e3},
	{"mibit", 1 << 20},
	{"mbit", 1e6},
	{"gibit", 1 << 30},
	{"gbit", 1e9},
	{"tibit", 1 << 40},
	{"tbit", 1e12},
	{"bps", 8},
	{"kibps", 8 << 10},
	{"kbps", 8e3},
	{"mibps", 8 << 20},
	{"mbps", 8e6},
	{"gibps", 8 << 30},
	{"gbps", 8e9},
	{"tibps", 8 << 40},
	{"tbps", 8e12},
}

// ParseRate reads a rate as tc(8) does: a decimal number, fractions and
// exponents allowed, and a unit in any case. Bare numbers and bit are bits per
// second; kbit mbit gbit tbit count in thousands, kibit… in 1024s; bps kbps
// mbps… and kibps… are bytes per second. What is left over of a bit is cut
// off. Percentages need a link's speed and are an error, as are negative,
// infinite and not-a-number values, which tc(8) lets pass, and hex.
func ParseRate(s string) (Rate, error) {
	d, unit, ok := scanDecimal(s)
	if !ok {
		return 0, fmt.Errorf("rate %q: %s", s, notARate(s))
	}
	scale, ok := rateScale(unit)
	if !ok {
		return 0, fmt.Errorf("rate %q: %s", s, notARate(s))
	}
	bps, ok := d.times(scale)
	if !ok {
		return 0, fmt.Errorf("rate %q: more than %d bit/s", s, uint64(math.MaxUint64))
	}
	return Rate(bps), nil
}

func rateScale(unit string) (uint64, bool) {
	switch unit { // what nearly every line has
	case "mbit":
		return 1e6, true
	case "kbit":
		return 1e3, true
	case "gbit":
		return 1e9, true
	case "bit", "":
		return 1, true
	}
	for _, u := range rateUnits {
		if strings.EqualFold(u.name, unit) {
			return u.bits, true
		}
	}
	return 0, false
}

// notARate says what is wrong with a text that ParseRate refuses.
func notARate(s string) string {
	switch {
	case strings.HasPrefix(s, "-"):
		return "negative"
	case strings.HasSuffix(s, "%"):
		return "a percentage needs the link's speed, give bit/s"
	}
	return "want a number and bit, kbit, mbit, gbit or tbit (or bps, kbps, … for bytes)"
}

// String is exact and short and reads back as the same Rate: a whole number of
// the largest decimal unit that divides it, "20mbit", "1234560kbit", "1001bit".
func (r Rate) String() string { return string(r.append(nil)) }

func (r Rate) append(b []byte) []byte {
	units := [...]string{"bit", "kbit", "mbit", "gbit", "tbit"}
	i := 0
	for ; r != 0 && r%1000 == 0 && i < len(units)-1; i++ {
		r /= 1000
	}
	b = strconv.AppendUint(b, uint64(r), 10)
	return append(b, units[i]...)
}

// AppendMbps appends the rounded text that clients write into their own tc lines:
// from 1000 Mbit/s "%.1fgbit", from 1 "%.1fmbit", below "%.0fkbit". The unit is
// chosen before rounding (999.95 is "1000.0mbit"); rounding is correct for the
// exact binary64 value, ties to even. It is for comparing with what clients
// render: the kernel gets Rate.String.
func AppendMbps(dst []byte, mbps float64) []byte {
	switch {
	case mbps >= 1000:
		return append(strconv.AppendFloat(dst, mbps/1000, 'f', 1, 64), "gbit"...)
	case mbps >= 1:
		return append(strconv.AppendFloat(dst, mbps, 'f', 1, 64), "mbit"...)
	}
	return append(strconv.AppendFloat(dst, mbps*1000, 'f', 0, 64), "kbit"...)
}
