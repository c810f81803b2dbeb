package kernel

import (
	"math"
	"time"

	"lqosd/bakery/tc"
)

// appendNonZero appends a number that is "not given" where it is 0.
func appendNonZero(b []byte, typ uint16, v uint32) []byte {
	if v == 0 {
		return b
	}
	return append32(b, typ, v)
}

func appendOpt(b []byte, typ uint16, v tc.Opt[uint32]) []byte {
	if !v.Given {
		return b
	}
	return append32(b, typ, v.Value)
}

// appendTime appends a time in microseconds.
func appendTime(b []byte, typ uint16, v tc.Opt[time.Duration]) []byte {
	if !v.Given {
		return b
	}
	return append32(b, typ, micros(v.Value))
}

// appendRate appends a rate in bytes per second; more than 32 bits of them are unlimited.
func appendRate(b []byte, typ uint16, v tc.Opt[tc.Rate]) []byte {
	if !v.Given {
		return b
	}
	return append32(b, typ, uint32(min(v.Value.BytesPerSecond(), math.MaxUint32)))
}

func appendSwitch(b []byte, typ uint16, v tc.Switch) []byte {
	if v == tc.Unset {
		return b
	}
	return appendBool(b, typ, v == tc.On)
}

// micros is a time in whole microseconds, as many as fit into 32 bits.
func micros(d time.Duration) uint32 { return uint32(min(d/time.Microsecond, math.MaxUint32)) }
