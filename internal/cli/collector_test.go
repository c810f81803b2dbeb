package cli

import (
	"runtime/debug"
	"testing"
)

func TestCollectLess(t *testing.T) {
	percent := func() int {
		p := debug.SetGCPercent(100)
		debug.SetGCPercent(p)
		return p
	}
	before := percent()
	t.Setenv("GOGC", "")
	undo := CollectLess()
	if got := percent(); got != readersGC {
		t.Errorf("%d percent, want %d", got, readersGC)
	}
	if undo(); percent() != before {
		t.Errorf("%d percent afterwards, want %d", percent(), before)
	}
	t.Setenv("GOGC", "50")
	if CollectLess()(); percent() != before {
		t.Error("the environment's GOGC doesn't stand")
	}
}
