package tc

import "math/bits"

// decimal is a number as it was written: mant × 10^exp. Values of rates, sizes
// and times go through it and not through a float64, so that 1234.56mbit is
// 1,234,560,000 bit/s and nothing near it.
type decimal struct {
	mant uint64
	exp  int
}

// huge is the exponent of a number whose digits alone need more than 64 bits,
// and the largest that is told apart.
const huge = 10000

// scanDecimal reads digits, an optional fraction and an optional exponent from
// the front of s, and returns what follows. Signs other than '+', hex, inf and
// nan, which strtod(3) and so tc(8) lets pass, are no numbers here.
func scanDecimal(s string) (d decimal, rest string, ok bool) {
	i := 0
	if i < len(s) && s[i] == '+' {
		i++
	}
	digits, point, full := 0, false, false
	for ; i < len(s); i++ {
		c := s[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		digits++
		over, mant := bits.Mul64(d.mant, 10)
		mant, carry := bits.Add64(mant, uint64(c-'0'), 0)
		full = full || over|carry != 0
		switch {
		case !full && point:
			d.mant = mant
			d.exp--
		case !full:
			d.mant = mant
		case !point:
			d.exp = huge
		}
	}
	if digits == 0 {
		return decimal{}, s, false
	}
	exp, n := scanExponent(s[i:])
	d.exp += exp
	return d, s[i+n:], true
}

// scanExponent reads e[+-]digits and returns its value and length, 0 if s does
// not start with one.
func scanExponent(s string) (exp, length int) {
	if len(s) < 2 || s[0] != 'e' && s[0] != 'E' {
		return 0, 0
	}
	i, sign := 1, 1
	switch s[1] {
	case '-':
		sign = -1
		i++
	case '+':
		i++
	}
	start := i
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		if exp < huge/10 {
			exp = exp*10 + int(s[i]-'0')
		}
	}
	if i == start {
		return 0, 0
	}
	return sign * exp, i
}

// times is d × unit without its fraction; ok is false when that needs more than
// 64 bits.
func (d decimal) times(unit uint64) (v uint64, ok bool) {
	hi, lo := bits.Mul64(d.mant, unit)
	for e := d.exp; e > 0 && hi|lo != 0; e-- {
		over, h := bits.Mul64(hi, 10)
		carry, l := bits.Mul64(lo, 10)
		h, c := bits.Add64(h, carry, 0)
		if over != 0 || c != 0 {
			return 0, false
		}
		hi, lo = h, l
	}
	for e := d.exp; e < 0 && hi|lo != 0; e++ {
		var r uint64
		hi, r = hi/10, hi%10
		lo, _ = bits.Div64(r, lo, 10)
	}
	return lo, hi == 0
}
