package replay

import (
	"errors"
	"testing"
	"time"

	"lqosd/eventlog"
	"lqosd/replay/replaytest"
)

func TestParseMoment(t *testing.T) {
	zone := time.FixedZone("UTC+2", 2*3600)
	now := time.Date(2026, 3, 1, 10, 30, 15, 500, zone)
	at := func(year int, month time.Month, day, hour, minute, second int) Moment {
		return Moment{Time: time.Date(year, month, day, hour, minute, second, 0, zone)}
	}
	for _, tc := range []struct {
		text string
		want Moment
	}{
		{"0", Moment{}},
		{"4347", Moment{Seq: 4347}},
		{"2026", Moment{Seq: 2026}}, // a number is a record
		{"18446744073709551615", Moment{Seq: 18446744073709551615}},
		{"now", Moment{Time: now}},
		{"2h30m", Moment{Time: now.Add(-150 * time.Minute)}},
		{"-2h30m", Moment{Time: now.Add(-150 * time.Minute)}},
		{"2h30m ago", Moment{Time: now.Add(-150 * time.Minute)}},
		{"7d", Moment{Time: now.Add(-7 * 24 * time.Hour)}},
		{"1d12h ago", Moment{Time: now.Add(-36 * time.Hour)}},
		{"1.5s", Moment{Time: now.Add(-1500 * time.Millisecond)}},
		{"08:00", at(2026, 3, 1, 8, 0, 0)},
		{"08:00:09", at(2026, 3, 1, 8, 0, 9)},
		{"3d", Moment{Time: now.AddDate(0, 0, -3)}},
		{"-1d", Moment{Time: now.AddDate(0, 0, -1)}},
		{"today", at(2026, 3, 1, 0, 0, 0)},
		{"today 14:00", at(2026, 3, 1, 14, 0, 0)},
		{"2025-12-31T23:59", at(2025, 12, 31, 23, 59, 0)},
		{"yesterday", at(2026, 2, 28, 0, 0, 0)},
		{"yesterday 14:00", at(2026, 2, 28, 14, 0, 0)},
		{"yesterday 14:00:01", at(2026, 2, 28, 14, 0, 1)},
		{"2025-12-31", at(2025, 12, 31, 0, 0, 0)},
		{"2025-12-31 23:59", at(2025, 12, 31, 23, 59, 0)},
		{"2025-12-31 23:59:58", at(2025, 12, 31, 23, 59, 58)},
		{"2025-12-31T23:59:58", at(2025, 12, 31, 23, 59, 58)},
		{"2025-12-31T23:59:58Z", Moment{Time: time.Date(2025, 12, 31, 23, 59, 58, 0, time.UTC)}},
		{"2025-12-31T23:59:58.25+01:00", Moment{Time: time.Date(2025, 12, 31, 22, 59, 58, 250_000_000, time.UTC)}},
	} {
		got, err := ParseMoment(tc.text, now)
		if err != nil || got.Seq != tc.want.Seq || !got.Time.Equal(tc.want.Time) {
			t.Errorf("%q: got %d %v (%v), want %d %v", tc.text, got.Seq, got.Time, err, tc.want.Seq, tc.want.Time)
		}
	}
	for _, text := range []string{"", " ", "-5", "1.5", "tomorrow", "yesterday noon", "25:00", "2025-13-01", "2025-02-30", "18446744073709551616",
		"14:00 yesterday", "5 days", "0x10", "d", "-3 d", "1.5d", "99999999d", "todays", "-1h ago ago"} {
		if got, err := ParseMoment(text, now); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func TestResolve(t *testing.T) {
	s := replaytest.Open(t, Open, replaytest.WriteLog(t, replaytest.Commands()))
	for _, tc := range []struct {
		name string
		m    Moment
		want eventlog.Seq
	}{
		{"the empty tree", Moment{}, 0},
		{"a record", Moment{Seq: 3}, 3},
		{"the last record", Moment{Seq: 6}, 6},
		{"before the first", Moment{Time: replaytest.Begin.Add(-time.Nanosecond)}, 0},
		{"at the first", Moment{Time: replaytest.Begin}, 1},
		{"between two", Moment{Time: replaytest.Begin.Add(90 * time.Second)}, 2},
		{"at a record, in another zone", Moment{Time: replaytest.Begin.Add(2 * time.Minute).In(time.FixedZone("", -3600))}, 3},
		{"after the last", Moment{Time: replaytest.Begin.AddDate(1, 0, 0)}, 6},
	} {
		if got, err := s.Resolve(t.Context(), tc.m); err != nil || got != tc.want {
			t.Errorf("%s: got %d, %v, want %d", tc.name, got, err, tc.want)
		}
	}
	if _, err := s.Resolve(t.Context(), Moment{Seq: 7}); !errors.Is(err, ErrOutside) {
		t.Errorf("record 7 of 6: %v", err)
	}
}
