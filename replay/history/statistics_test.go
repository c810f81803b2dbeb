package history

import (
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/replay"
	"lqosd/replay/replaytest"
)

// TestStatistics: refreshes end with a pause, another reset or a Commit, the biggest come first, and what changes nothing is counted.
func TestStatistics(t *testing.T) {
	at := replaytest.Begin
	var commands []bakery.Command
	after := func(pause time.Duration, c bakery.Command) {
		at = at.Add(pause)
		commands = append(commands, replaytest.Timed{Command: c, At: at})
	}
	after(0, replaytest.MqSetup())                                     // 1: the first refresh
	after(3*time.Second, replaytest.Circuit("4", 10, "Smith"))         // 2: of it
	after(refreshTime, replaytest.Circuit("5", 10, ""))                // 3: just so
	after(refreshTime+1, replaytest.Circuit("5", 10, ""))              // 4: too late, and changes nothing
	after(time.Hour, bakery.ClearPriorSettings{})                      // 5: the second
	after(time.Second, replaytest.MqSetup())                           // 6: of it: nothing stands between
	after(time.Second, replaytest.Circuit("4", 10, "Smith"))           // 7
	after(time.Second, replaytest.MqSetup())                           // 8: the third
	after(time.Second, replaytest.MapIP("192.0.2.1", 0x10004, false))  // 9: of it
	after(24*time.Hour, replaytest.MapIP("192.0.2.1", 0x10004, false)) // 10: changes nothing
	for range 9 {
		after(time.Second, bakery.Commit{Setup: replaytest.MqSetup()}) // 11, 13, …: a refresh each
		after(0, bakery.DelIPFlow{Address: "192.0.2.1"})               // 12, 14, …: not theirs
	}
	s := replaytest.Open(t, replay.Open, replaytest.WriteLog(t, commands))
	st, err := NewStatistics(t.Context(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	if st.Records != 28 || st.Refreshes != 12 || len(st.Biggest) != maxRefreshes {
		t.Errorf("%d records, %d refreshes, of which %d biggest", st.Records, st.Refreshes, len(st.Biggest))
	}
	type part struct {
		seq, last uint64
		records   int
		took      float64
	}
	want := map[uint64]part{1: {1, 3, 3, 13}, 5: {5, 7, 3, 2}, 8: {8, 9, 2, 1}}
	found := 0
	for i, f := range st.Biggest {
		if i > 0 && f.Lines > st.Biggest[i-1].Lines {
			t.Errorf("refresh %d has more lines than the one before it", i)
		}
		w, ok := want[uint64(f.Seq)]
		switch {
		case ok && (uint64(f.Last) != w.last || f.Records != w.records || f.Took != w.took || f.Classes == 0):
			t.Errorf("%+v, want %+v", f, w)
		case !ok && (f.Kind != bakery.KindCommit || f.Records != 1):
			t.Errorf("%+v", f)
		}
		if ok {
			found++
		}
	}
	if found < 2 || st.Biggest[0].Seq != 5 && st.Biggest[0].Seq != 1 {
		t.Errorf("the biggest are %+v", st.Biggest)
	}
	if len(st.Days) != 2 || st.Days[0].Records != 9 || st.Days[1].Records != 19 || st.Days[0].Bytes < 200 || st.Days[0].Date >= st.Days[1].Date {
		t.Errorf("days: %+v", st.Days)
	}
	if r := st.Rates; r.Minute.Records != 19 || r.Hour.Records != 19 || !r.Minute.Begin.Equal(at.Truncate(time.Minute)) || r.PerHour < 1.1 || r.PerHour > 1.12 {
		t.Errorf("rates: %+v", r)
	}
	// 4, 10, the Commits, which state what is there, and all removals but the first.
	if st.Unchanged != 19 {
		t.Errorf("%d changed nothing", st.Unchanged)
	}
}
