package replay

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/replay/replaytest"
)

// growing is a log of a skeleton and n circuits.
func growing(n int) []bakery.Command {
	commands := []bakery.Command{replaytest.MqSetup()}
	for i := range n {
		commands = append(commands, replaytest.Circuit(fmt.Sprintf("%x", 4+i), 10, ""))
	}
	return commands
}

// TestTraveller: wherever it has been, it gives the Tree that Source.Tree gives, and that stays as it is.
func TestTraveller(t *testing.T) {
	for name, commands := range map[string][]bakery.Command{
		"no snapshot": growing(60), "snapshots": append(append(growing(30), replaytest.Roll{}), growing(30)...),
	} {
		t.Run(name, func(t *testing.T) {
			s := replaytest.Open(t, Open, replaytest.WriteLog(t, commands))
			seed := rand.Uint64()
			dice := rand.New(rand.NewPCG(seed, 0))
			v := s.Travel()
			v.stride = 7
			given := map[eventlog.Seq]*bakery.Tree{}
			for range 80 {
				seq := eventlog.Seq(dice.Uint64N(uint64(s.Last()) + 1))
				got, err := v.At(t.Context(), seq)
				if err != nil {
					t.Fatal(err)
				}
				given[seq] = got
			}
			for seq, got := range given {
				want, err := s.Tree(t.Context(), seq)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got); diff != "" || got.Seq != seq {
					t.Fatalf("seed %d, record %d: the tree is of record %d:\n%s", seed, seq, got.Seq, diff)
				}
			}
		})
	}
}

// TestTravellerHalves: a search in log₂ steps folds the log once and a sixteenth.
func TestTravellerHalves(t *testing.T) {
	s := replaytest.Open(t, Open, replaytest.WriteLog(t, growing(255)))
	v := s.Travel()
	v.stride = s.Last() / stops
	good, bad := eventlog.Seq(0), s.Last()
	for _, seq := range []eventlog.Seq{bad, good} {
		if _, err := v.At(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	for bad-good > 1 {
		mid := (good + bad) / 2
		if _, err := v.At(t.Context(), mid); err != nil {
			t.Fatal(err)
		}
		if mid > 100 {
			bad = mid
		} else {
			good = mid
		}
	}
	if most := uint64(s.Last() + s.Last()/stops); v.folded > most {
		t.Errorf("folded %d records of %d, want at most %d", v.folded, s.Last(), most)
	}
}

func TestTravellerOutside(t *testing.T) {
	s := replaytest.Open(t, Open, replaytest.WriteLog(t, replaytest.Commands()))
	if _, err := s.Travel().At(t.Context(), s.Last()+1); !errors.Is(err, ErrOutside) {
		t.Errorf("error %v", err)
	}
}
