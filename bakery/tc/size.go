package tc

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// sizeUnits are the suffixes of tc(8) for amounts of data, in any case; all
// count in 1024s, bits too.
var sizeUnits = []struct {
	name  string
	bytes uint64
}{
	{"", 1},
	{"b", 1},
	{"k", 1 << 10},
	{"kb", 1 << 10},
	{"m", 1 << 20},
	{"mb", 1 << 20},
	{"g", 1 << 30},
	{"gb", 1 << 30},
	{"kbit", 1 << 10 / 8},
	{"mbit", 1 << 20 / 8},
	{"gbit", 1 << 30 / 8},
}

// ParseSize reads an amount of data in bytes as tc(8) does: a decimal number
// and b, k or kb, m or mb, g or gb, kbit, mbit, gbit; a bare number is bytes.
// The fraction of a byte is cut off. More than 32 bits is an error.
func ParseSize(s string) (uint32, error) {
	d, unit, ok := scanDecimal(s)
	if ok {
		for _, u := range sizeUnits {
			if !strings.EqualFold(u.name, unit) {
				continue
			}
			v, ok := d.times(u.bytes)
			if !ok || v > math.MaxUint32 {
				return 0, fmt.Errorf("size %q: more than %d bytes", s, uint32(math.MaxUint32))
			}
			return uint32(v), nil
		}
	}
	return 0, fmt.Errorf("size %q: want a number and b, kb, mb, gb, kbit, mbit or gbit", s)
}

// FormatSize is exact and reads back as the same size: a whole number of the
// largest of b, kb, mb, gb that divides it.
func FormatSize(bytes uint32) string { return string(appendSize(nil, bytes)) }

func appendSize(b []byte, size uint32) []byte {
	units := [...]string{"b", "kb", "mb", "gb"}
	i := 0
	if size != 0 {
		i = bits.TrailingZeros32(size) / 10
	}
	b = strconv.AppendUint(b, uint64(size>>(10*i)), 10)
	return append(b, units[i]...)
}

// timeUnits are the suffixes of tc(8) for lengths of time, in any case.
var timeUnits = []struct {
	names [3]string
	unit  time.Duration
}{
	{[3]string{"us", "usec", "usecs"}, time.Microsecond},
	{[3]string{"ms", "msec", "msecs"}, time.Millisecond},
	{[3]string{"s", "sec", "secs"}, time.Second},
	{[3]string{"ns", "nsec", "nsecs"}, time.Nanosecond},
}

// maxTime is the longest time that tc(8) keeps: 32 bits of microseconds.
const maxTime = math.MaxUint32 * time.Microsecond

// ParseTime reads a length of time as tc(8) does: a decimal number and s, ms or
// us (or sec, msec, usec, with or without s); a bare number is microseconds.
// What is left over of a microsecond is cut off. More than 32 bits of
// microseconds, about 71 minutes, is an error.
func ParseTime(s string) (time.Duration, error) {
	t, err := parseDuration(s, time.Microsecond)
	if err != nil {
		return 0, err
	}
	if t > maxTime {
		return 0, fmt.Errorf("time %q: more than %v", s, maxTime)
	}
	return t.Truncate(time.Microsecond), nil
}

// parseDuration reads nanoseconds too; bare is the unit of a number without
// one, which tc(8) takes as nanoseconds in a few places.
func parseDuration(s string, bare time.Duration) (time.Duration, error) {
	d, suffix, ok := scanDecimal(s)
	unit := bare
	if suffix != "" {
		unit = timeUnit(suffix)
	}
	if !ok || unit == 0 {
		return 0, fmt.Errorf("time %q: want a number and s, ms or us", s)
	}
	v, ok := d.times(uint64(unit))
	if !ok || v > math.MaxInt64 {
		return 0, fmt.Errorf("time %q: too long", s)
	}
	return time.Duration(v), nil
}

func timeUnit(suffix string) time.Duration {
	for _, u := range timeUnits {
		for _, name := range u.names {
			if strings.EqualFold(name, suffix) {
				return u.unit
			}
		}
	}
	return 0
}

// FormatTime is exact and reads back as the same time: a whole number of the
// largest of s, ms, us, ns that divides it.
func FormatTime(d time.Duration) string {
	switch {
	case d%time.Second == 0 && d != 0:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	case d%time.Millisecond == 0 && d != 0:
		return strconv.FormatInt(int64(d/time.Millisecond), 10) + "ms"
	case d%time.Microsecond == 0:
		return strconv.FormatInt(int64(d/time.Microsecond), 10) + "us"
	}
	return strconv.FormatInt(int64(d), 10) + "ns"
}
