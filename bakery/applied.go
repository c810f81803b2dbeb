package bakery

import (
	"encoding/json"
	"fmt"

	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// cursorName is the name of the reconciler's cursor in the event log.
const cursorName = "applied"

// applied is how far the kernel has come, as the log's cursor keeps it: JSON, so that
// fields can be added.
type applied struct {
	Seq        eventlog.Seq           `json:"seq"`        // the kernel has what the records up to it ask for
	Generation uint64                 `json:"generation"` // the Tree's at that moment
	Identity   string                 `json:"identity"`   // of the kernel
	Links      map[string]appliedLink `json:"links"`
	Ran        []string               `json:"ran,omitempty"` // digests of the opaque lines that were run; many, one of them all
}

// appliedLink is what of ours is on a link.
type appliedLink struct {
	Index   int       `json:"index"`   // of the link that it was applied to
	Root    tc.Handle `json:"root"`    // handle of the root that we put there; "none"
	Ingress bool      `json:"ingress"` // the clsact or ingress qdisc is ours
	Clean   bool      `json:"clean"`   // it is known what had failed on it
	Failed  string    `json:"failed"`  // that: keys with a blank between
}

// decodeApplied reads a cursor; nothing and an unknown form are the zero value, which
// stands for a kernel that nothing is known of.
func decodeApplied(b []byte) (applied, error) {
	var a applied
	if len(b) == 0 {
		return a, nil
	}
	if err := json.Unmarshal(b, &a); err != nil {
		return applied{}, fmt.Errorf("reading the cursor of what was applied: %w", err)
	}
	return a, nil
}

func (a applied) encode() []byte {
	b, err := json.Marshal(a)
	if err != nil {
		panic(err) // it holds nothing that can fail
	}
	return b
}
