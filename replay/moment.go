package replay

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lqosd/eventlog"
)

// Moment is a point of a log, as a user writes it: a Seq or a time.
type Moment struct {
	Seq  eventlog.Seq
	Time time.Time // when it isn't zero, Seq isn't used
}

// layouts are the ways to write a time; those without a zone are local.
var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// ParseMoment reads a Seq ("4347"), a time ("2026-11-23T14:00:00Z", "2026-11-23
// 14:00", "14:00" for today's), "today", "yesterday", "yesterday 14:00", "now", or how
// long ago it was ("2h30m", "7d"). now is the present.
func ParseMoment(s string, now time.Time) (Moment, error) {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return Moment{Seq: eventlog.Seq(n)}, nil
	}
	if s == "now" {
		return Moment{Time: now}, nil
	}
	if t, ok := parseAgo(s, now); ok {
		return Moment{Time: t}, nil
	}
	if t, ok := parseClock(s, now); ok {
		return Moment{Time: t}, nil
	}
	for _, l := range layouts {
		if t, err := time.ParseInLocation(l, s, now.Location()); err == nil {
			return Moment{Time: t}, nil
		}
	}
	return Moment{}, fmt.Errorf("%q is neither a record's number nor a time: write 4347, 2026-11-23T14:00:00Z, \"2026-11-23 14:00\", \"yesterday 14:00\", 2h30m or 7d (ago), or now", s)
}

// parseAgo reads "2h30m", "7d", "1d12h", also with " ago" behind it. Days are those of the calendar, which the clocks' change makes
// an hour longer or shorter.
func parseAgo(s string, now time.Time) (time.Time, bool) {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "-"), " ago")
	if days, rest, found := strings.Cut(s, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return time.Time{}, false
		}
		now = now.AddDate(0, 0, -int(n))
		if s = rest; s == "" {
			return now, true
		}
	}
	d, err := time.ParseDuration(s)
	return now.Add(-d), err == nil
}

// parseClock reads "14:00", "today", "yesterday" and "yesterday 14:00".
func parseClock(s string, now time.Time) (time.Time, bool) {
	day := now
	rest, yesterday := strings.CutPrefix(s, "yesterday")
	named := yesterday
	if yesterday {
		day = now.AddDate(0, 0, -1)
	} else {
		rest, named = strings.CutPrefix(s, "today")
	}
	midnight := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, now.Location())
	rest = strings.TrimSpace(rest)
	if rest == "" {
		return midnight, named
	}
	for _, l := range []string{"15:04", "15:04:05"} {
		if c, err := time.Parse(l, rest); err == nil {
			return time.Date(day.Year(), day.Month(), day.Day(), c.Hour(), c.Minute(), c.Second(), 0, now.Location()), true
		}
	}
	return time.Time{}, false
}

// Resolve gives the record that a Moment means: the last one up to then.
func (s *Source) Resolve(ctx context.Context, m Moment) (eventlog.Seq, error) {
	if !m.Time.IsZero() {
		return s.SeqAt(ctx, m.Time)
	}
	if m.Seq > s.Last() {
		return 0, fmt.Errorf("record %d: %w, which ends at %d", m.Seq, ErrOutside, s.Last())
	}
	return m.Seq, nil
}
