package replay

import (
	"context"
	"errors"
	"fmt"

	"lqosd/bakery"
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
