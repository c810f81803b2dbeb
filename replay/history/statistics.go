package history

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/replay"
	"lqosd/replay/diff"
)

// Statistics sums a log up.
type Statistics struct {
	First   eventlog.Seq   `json:"first_seq"`
	Last    eventlog.Seq   `json:"last_seq"`
	Records uint64         `json:"records"`
	Begin   time.Time      `json:"begin"`
	End     time.Time      `json:"end"`
	Kinds   map[string]int `json:"kinds"`
	Senders map[string]int `json:"senders"` // by "uid N"
	Resets  uint64         `json:"generations"`
	// Unchanged are the records after which the tree was what it was before: qdiscs, classes, opaque lines and mappings.
	Unchanged uint64         `json:"unchanged"`
	Rates     Rates          `json:"rates"`
	Refreshes int            `json:"refreshes_total"`
	Biggest   []Refresh      `json:"refreshes"` // the ten with most lines
	Days      []Day          `json:"days"`
	Log       eventlog.Stats `json:"log"`
}

// Rates tell how many records came in which time, by the clock of the daemon.
type Rates struct {
	PerHour float64  `json:"per_hour"` // mean; 0 for a log of a single moment
	Minute  Interval `json:"busiest_minute"`
	Hour    Interval `json:"busiest_hour"`
}

// Interval is a minute or an hour of the clock, and how many records it has.
type Interval struct {
	Begin   time.Time `json:"begin"`
	Records uint64    `json:"records"`
}

// Refresh is what a client built anew: a Commit, or a reset with what follows without a pause of refreshTime.
type Refresh struct {
	Seq        eventlog.Seq `json:"seq"`
	Last       eventlog.Seq `json:"last_seq"`
	Time       time.Time    `json:"time"`
	Took       float64      `json:"seconds"` // from the first record to the last
	Kind       bakery.Kind  `json:"kind"`    // of the first
	Generation uint64       `json:"generation"`
	Records    int          `json:"records"`
	Lines      int          `json:"lines"`   // of tc
	Classes    int          `json:"classes"` // lines that add or change one
	end        time.Time
}

// Day is one day, in the local time zone, with the payloads of its records in bytes.
type Day struct {
	Date    string `json:"date"`
	Records uint64 `json:"records"`
	Bytes   int64  `json:"bytes"`
}

// maxRefreshes is how many of the biggest are kept.
const maxRefreshes = 10

// NewStatistics reads and folds the whole log once. It calls progress, unless that is nil, with how many records it read.
func NewStatistics(ctx context.Context, s *replay.Source, progress func(records int)) (Statistics, error) {
	log, err := s.Stats(ctx)
	if err != nil {
		return Statistics{}, err
	}
	c := census{Statistics: Statistics{First: s.First(), Last: s.Last(), Kinds: map[string]int{}, Senders: map[string]int{},
		Biggest: []Refresh{}, Days: []Day{}, Log: log}}
	t, err := s.Tree(ctx, s.First()-1)
	if err != nil {
		return Statistics{}, err
	}
	before := t
	err = s.Walk(ctx, t, s.Last(), func(bakery.Record) { before = t.Clone() }, func(r bakery.Record) error {
		c.count(r, t)
		if len(diff.Changes(before, t, r.Command)) == 0 {
			c.Unchanged++
		}
		if progress != nil {
			progress(1)
		}
		return nil
	})
	if err != nil {
		return Statistics{}, err
	}
	c.finish(t)
	return c.Statistics, nil
}

// census counts record after record.
type census struct {
	Statistics
	payload      []byte   // of a record
	lines        []byte   // of a record
	refresh      *Refresh // under way; nil: none
	onlyResets   bool     // it has nothing else yet
	minute, hour Interval // under way
}

func (c *census) count(r bakery.Record, t *bakery.Tree) {
	if c.Records == 0 {
		c.Begin = r.Time
	}
	c.Records++
	c.End = r.Time
	c.Kinds[r.Command.Kind().String()]++
	c.Senders[senderName(r.Sender)]++
	tick(&c.minute, &c.Rates.Minute, r.Time.Truncate(time.Minute))
	tick(&c.hour, &c.Rates.Hour, r.Time.Truncate(time.Hour))
	c.payload = bakery.AppendRecord(c.payload[:0], r)
	c.day(r.Time.Local().Format(time.DateOnly), int64(len(c.payload)))
	c.refreshed(r, t.Generation)
}

// tick counts a record that came in the interval from begin on. Where the clock stepped back an interval is there twice.
func tick(now, busiest *Interval, begin time.Time) {
	if !now.Begin.Equal(begin) {
		*now = Interval{Begin: begin}
	}
	if now.Records++; now.Records > busiest.Records {
		*busiest = *now
	}
}

// day counts a record's bytes: nearly always for the newest day.
func (c *census) day(date string, bytes int64) {
	i := len(c.Days) - 1
	for i >= 0 && c.Days[i].Date != date {
		i--
	}
	if i < 0 {
		i = len(c.Days)
		c.Days = append(c.Days, Day{Date: date})
	}
	c.Days[i].Records++
	c.Days[i].Bytes += bytes
}

// refreshed counts a record for the refresh that it begins or belongs to.
func (c *census) refreshed(r bakery.Record, generation uint64) {
	kind := r.Command.Kind()
	reset := kind == bakery.KindMqSetup || kind == bakery.KindClearPriorSettings
	switch {
	case c.refresh == nil:
	case kind == bakery.KindCommit, reset && !c.onlyResets, r.Time.Sub(c.refresh.end) > refreshTime:
		c.endRefresh()
	}
	switch {
	case c.refresh == nil && !reset && kind != bakery.KindCommit:
		return
	case c.refresh == nil:
		c.refresh = &Refresh{Seq: r.Seq, Time: r.Time, Kind: kind}
		c.onlyResets = true
	}
	f := c.refresh
	c.onlyResets = c.onlyResets && reset
	f.Last, f.end, f.Generation = r.Seq, r.Time, generation
	f.Records++
	c.lines = bakery.AppendLines(c.lines[:0], r.Command, bakery.RatesAsClient)
	f.Lines += bytes.Count(c.lines, []byte("\n"))
	for line := range bytes.Lines(c.lines) {
		if bytes.HasPrefix(line, []byte("class ")) && !bytes.HasPrefix(line, []byte("class del ")) {
			f.Classes++
		}
	}
	if kind == bakery.KindCommit {
		c.endRefresh() // what comes next isn't part of it
	}
}

// endRefresh keeps the refresh if it is among the biggest.
func (c *census) endRefresh() {
	f := c.refresh
	if f == nil {
		return
	}
	f.Took = max(0, f.end.Sub(f.Time).Seconds())
	c.refresh = nil
	c.Refreshes++
	at, _ := slices.BinarySearchFunc(c.Biggest, f.Lines, func(g Refresh, lines int) int {
		if g.Lines >= lines {
			return -1
		}
		return 1
	})
	c.Biggest = slices.Insert(c.Biggest, at, *f)
	c.Biggest = c.Biggest[:min(len(c.Biggest), maxRefreshes)]
}

func (c *census) finish(t *bakery.Tree) {
	c.endRefresh()
	c.Resets = t.Generation
	if span := c.End.Sub(c.Begin); span > 0 {
		c.Rates.PerHour = float64(c.Records) / span.Hours()
	}
	slices.SortFunc(c.Days, func(a, b Day) int { return bytes.Compare([]byte(a.Date), []byte(b.Date)) })
}

func senderName(s bakery.Sender) string { return fmt.Sprintf("uid %d", s.UID) }
