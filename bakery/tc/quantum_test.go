package tc

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestQuantumRefuses(t *testing.T) {
	for _, tt := range []struct {
		ceil float64
		r2q  uint64
	}{{1, 0}, {math.NaN(), 10}, {math.Inf(1), 10}, {-1, 10}, {1e12, 10}} {
		if got, err := Quantum(tt.ceil, tt.r2q); err == nil {
			t.Errorf("Quantum(%v, %d) = %d, want an error", tt.ceil, tt.r2q, got)
		}
	}
}

func TestStartR2Q(t *testing.T) {
	for capacity, want := range map[float64]uint64{0: 10, 1: 10, 4.8: 10, 4.81: 11, 1000: 2084, 10000: 20834} {
		if got := StartR2Q(capacity); got != want {
			t.Errorf("StartR2Q(%v) = %d, want %d", capacity, got, want)
		}
	}
	for _, odd := range []float64{math.NaN(), math.Inf(-1), -5} {
		if got := StartR2Q(odd); got != 10 {
			t.Errorf("StartR2Q(%v) = %d, want 10", odd, got)
		}
	}
	StartR2Q(math.Inf(1)) // must return
	StartR2Q(math.MaxFloat64)
}

// The oracle counts, as the rule says.
func TestStartR2QCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.Float64Range(0, 2e5).Draw(t, "capacity")
		want := uint64(10)
		for capacity*125000/float64(want) > 60000 {
			want++
		}
		if got := StartR2Q(capacity); got != want {
			t.Fatalf("StartR2Q(%v) = %d, want %d", capacity, got, want)
		}
	})
}
