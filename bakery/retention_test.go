package bakery

import (
	"testing"
	"time"

	"lqosd/eventlog"
)

func TestRetentionPolicy(t *testing.T) {
	day := 24 * time.Hour
	for _, tc := range []struct {
		name       string
		retention  Retention
		generation uint64
		want       eventlog.Policy
	}{
		{"nothing goes", Retention{}, 7, eventlog.Policy{}},
		{"by age", Retention{MaxAge: day}, 7, eventlog.Policy{MaxAge: day}},
		{"three generations", Retention{Generations: 3}, 7, eventlog.Policy{MinMark: 5}},
		{"fewer than are kept", Retention{MaxAge: day, Generations: 10}, 2, eventlog.Policy{MaxAge: day, MinMark: 1}},
	} {
		if got := tc.retention.policy(tc.generation); got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}
