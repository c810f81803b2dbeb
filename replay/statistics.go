package replay

import (
	"context"
	"fmt"
	"time"

	"lqosd/bakery"
	"lqosd/eventlog"
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
	Log     eventlog.Stats `json:"log"`
}

// Statistics reads the whole log.
func (s *Source) Statistics(ctx context.Context) (Statistics, error) {
	log, err := s.r.Stats(ctx)
	if err != nil {
		return Statistics{}, err
	}
	st := Statistics{First: s.First(), Last: s.Last(), Kinds: map[string]int{}, Senders: map[string]int{}, Log: log}
	for r, err := range s.Records(ctx, st.First, st.Last) {
		if err != nil {
			return Statistics{}, err
		}
		if st.Records == 0 {
			st.Begin = r.Time
		}
		st.Records++
		st.End = r.Time
		st.Kinds[r.Command.Kind().String()]++
		st.Senders[senderName(r.Sender)]++
	}
	t, err := s.Tree(ctx, st.Last)
	if err != nil {
		return Statistics{}, err
	}
	st.Resets = t.Generation
	return st, nil
}

func senderName(s bakery.Sender) string { return fmt.Sprintf("uid %d", s.UID) }
