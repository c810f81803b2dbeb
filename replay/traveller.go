package replay

import (
	"context"
	"errors"
	"slices"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// stops is how many Trees a Traveller leaves behind on its way through a whole log, if there
// are shortWay records between two.
const (
	stops    = 16
	shortWay = 4096
)

// Traveller gives the Trees at many moments of one log. It folds each from the nearest that it
// has been at, or a snapshot, and leaves Trees behind on a long way: so a search in log₂ steps
// folds hardly more than the log once. One goroutine uses it.
type Traveller struct {
	s      *Source
	stride eventlog.Seq   // records between two Trees that are left behind
	been   []*bakery.Tree // by Seq; nobody changes them
	folded uint64         // records, in all
}

// Travel begins a journey through the log.
func (s *Source) Travel() *Traveller {
	return &Traveller{s: s, stride: max(shortWay, (s.Last()+1-s.First())/stops)}
}

// At is the Tree after record seq, as Source.Tree gives it. It is the caller's to read, not to change.
func (v *Traveller) At(ctx context.Context, seq eventlog.Seq) (*bakery.Tree, error) {
	if seq > v.s.Last() {
		return v.s.Tree(ctx, seq)
	}
	t, err := v.nearest(seq)
	if err != nil {
		return nil, err
	}
	start := t.Seq
	for t.Seq < seq {
		to := min(seq, (t.Seq/v.stride+1)*v.stride)
		from := t.Seq
		if err := v.s.Fold(eventlog.PartOf(ctx, uint64(t.Seq-start), uint64(seq-start)), t, to); err != nil {
			return nil, err
		}
		v.folded += uint64(t.Seq - from)
		v.keep(t)
		t = t.Clone()
	}
	t.NameSites(v.s.sites)
	return t, nil
}

// nearest is a Tree that isn't after seq, for the caller to fold into.
func (v *Traveller) nearest(seq eventlog.Seq) (*bakery.Tree, error) {
	i, there := slices.BinarySearchFunc(v.been, seq, bySeq)
	if !there {
		i--
	}
	if i >= 0 && seq-v.been[i].Seq <= v.stride {
		return v.been[i].Clone(), nil
	}
	base, err := v.s.base(seq)
	switch {
	case i < 0:
		return base, err
	case err == nil && base.Seq > v.been[i].Seq:
		return base, nil
	case err != nil && !errors.Is(err, ErrOutside):
		return nil, err
	}
	return v.been[i].Clone(), nil
}

func (v *Traveller) keep(t *bakery.Tree) {
	if i, there := slices.BinarySearchFunc(v.been, t.Seq, bySeq); !there {
		v.been = slices.Insert(v.been, i, t)
	}
}

func bySeq(t *bakery.Tree, seq eventlog.Seq) int {
	switch {
	case t.Seq < seq:
		return -1
	case t.Seq > seq:
		return 1
	}
	return 0
}
