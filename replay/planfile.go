package replay

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// ErrNoSetup says that a log tells nothing of the links that are shaped.
var ErrNoSetup = errors.New("the log has no BakeryMqSetup or BakeryCommit up to there, so that nobody knows links, capacities and queues")

// Setup is the configuration as the newest skeleton up to t's record had it. leaf also asks for the rule for the
// leaves of batches, which takes a reading of the log: fallback is the one where no batch gives it.
func (s *Source) Setup(ctx context.Context, t *bakery.Tree, leaf bool, fallback bakery.LeafRule) (bakery.Setup, error) {
	m, rule := t.Setup, fallback
	if m == nil || leaf {
		for r, err := range s.Records(ctx, 0, t.Seq) {
			if err != nil {
				return bakery.Setup{}, err
			}
			switch c := r.Command.(type) {
			case bakery.MqSetup:
				m = &c
			case bakery.Commit:
				m, rule = &c.Setup, c.Leaf
			}
		}
	}
	if m == nil {
		return bakery.Setup{}, fmt.Errorf("record %d: %w", t.Seq, ErrNoSetup)
	}
	return bakery.Setup{DownLink: m.Down.Link, UpLink: m.Up.Link, DownMbps: m.Down.CapacityMbps, UpMbps: m.Up.CapacityMbps,
		SQM: m.Down.SQM, Queues: int(m.Down.Queues), Leaf: rule}, nil
}

// DescribedBy reads what files say that links have, as CompareFiles does, for a Planning: tc lines, of all links,
// or a listing of qdiscs and one of classes, of one link. known are the links that there are.
func DescribedBy(ctx context.Context, link string, known, files []string) (live *Live, only []string, err error) {
	f := fileSide{link: link, known: known}
	for _, name := range files {
		if err := f.read(ctx, name); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	all := strings.Join(files, ", ")
	if f.lines == nil && (f.qdiscs == nil || f.classes == nil) {
		return nil, nil, fmt.Errorf("%s: a plan needs the listing of the qdiscs and that of the classes: --against is repeatable", all)
	}
	state, err := f.state()
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", all, err)
	}
	if only = known; f.lines == nil {
		only = []string{f.link}
	}
	live = &Live{Links: map[string]tc.Observed{}}
	for _, l := range only {
		live.Links[l] = tc.Observed{State: tc.Canonical(state.Only(l), tc.Host{})}
	}
	return live, only, nil
}
