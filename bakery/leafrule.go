package bakery

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"lqosd/bakery/tc"
)

// LeafRule says which leaf qdisc a circuit of a batch gets. The default is that of the
// skeleton, Direction.SQM.
type LeafRule struct {
	// FastMbps is the ceil in Mbit/s from which a circuit gets fq_codel where the default is
	// cake; 0: none does.
	FastMbps float64 `json:"fast_mbps"`
	SlowRTT  SlowRTT `json:"slow_rtt"`
}

// SlowRTT says which plans are slow enough for cake to be told a longer round-trip time: one
// full packet takes 12 ms at 1 Mbit/s.
type SlowRTT uint8

// The rules. The numbers are part of the record format.
const (
	SlowRTTExact SlowRTT = 0 // ceils of exactly 1, 2, 3 and 4 Mbit/s, as clients do it
	SlowRTTUpTo  SlowRTT = 1 // ceils up to 1, 2, 3 and 4 Mbit/s
)

// String is the rule's name in the configuration.
func (s SlowRTT) String() string {
	if s == SlowRTTUpTo {
		return "up_to"
	}
	return "exact"
}

// MarshalText makes a SlowRTT readable in JSON.
func (s SlowRTT) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// slowRTTs are the round-trip times of plans up to 1, 2, 3 and 4 Mbit/s, in ms.
var slowRTTs = [...]int{300, 180, 140, 120}

// ms is the round-trip time that a plan's cake is told, in ms; 0: the default.
func (s SlowRTT) ms(ceilMbps float64) int {
	for i, ms := range slowRTTs {
		limit := float64(i + 1)
		if ceilMbps == limit || s == SlowRTTUpTo && ceilMbps < limit {
			return ms
		}
	}
	return 0
}

// leaf is the leaf qdisc of a circuit in one direction.
type leaf struct {
	words []string // as it is rendered; nil: the class has none
	rttMS int      // in ms, which is rendered as the last word; 0: words say all
}

// options is what the kernel gets.
func (l leaf) options() (tc.Options, error) {
	o, err := parseLeaf(l.words)
	if cake, ok := o.(tc.Cake); ok && l.rttMS != 0 {
		cake.RTT = time.Duration(l.rttMS) * time.Millisecond
		return cake, err
	}
	return o, err
}

// text is the leaf as clients write it: "cake diffserv4 rtt 300", with the time in ms.
func (l leaf) text() string {
	text := strings.Join(l.words, " ")
	if l.rttMS != 0 {
		text += " rtt " + strconv.Itoa(l.rttMS)
	}
	return text
}

// choose gives the leaf of a direction with this default and override ("" for none).
func (r LeafRule) choose(sqm []string, override string, ceilMbps float64) (leaf, error) {
	words := splitWords(sqm)
	switch override {
	case "":
		if words[0] == "cake" && r.FastMbps > 0 && ceilMbps >= r.FastMbps {
			words = []string{"fq_codel"}
		}
	case "none":
		return leaf{}, nil
	case words[0]: // the default's kind, with the default's words
	case "cake":
		words = []string{"cake", "diffserv4"}
	default:
		words = strings.Fields(override)
	}
	l := leaf{words: words}
	o, err := parseLeaf(words)
	if cake, ok := o.(tc.Cake); ok && cake.RTT == 0 {
		l.rttMS = r.SlowRTT.ms(ceilMbps)
	}
	return l, err
}

// overrides splits sqm_override, "words" or "down/up", and checks the words.
func overrides(text *string) (down, up string, err error) {
	if text == nil {
		return "", "", nil
	}
	down, up, both := strings.Cut(strings.ToLower(*text), "/")
	down, up = strings.Join(strings.Fields(down), " "), strings.Join(strings.Fields(up), " ")
	if !both {
		up = down
	}
	for _, words := range []string{down, up} {
		if words == "" || words == "none" {
			continue
		}
		if err := CheckLeaf([]string{words}); err != nil {
			return "", "", fmt.Errorf("sqm_override: %w", err)
		}
	}
	return down, up, nil
}

// leaf is the leaf of a circuit in one direction.
func (c Commit) leaf(circuit AddCircuit, upload bool) (leaf, error) {
	down, up, err := overrides(circuit.SQMOverride)
	if err != nil {
		return leaf{}, err
	}
	d, override := c.Setup.Down, down
	if upload {
		d, override = c.Setup.Up, up
	}
	_, ceil := circuit.mbps(upload)
	return c.Leaf.choose(d.SQM, override, ceil)
}

// leafMemo remembers the leaves of one Commit: there are as many as plans, not as circuits, and equal ones are one value.
type leafMemo map[leafAsk]leafChosen

// leafAsk is all that a leaf of a Commit depends on.
type leafAsk struct {
	upload   bool
	override string
	ceilMbps float64
}

type leafChosen struct {
	leaf    leaf
	options tc.Options // nil: the class has none
	err     error
}

func (memo leafMemo) choose(c Commit, circuit *AddCircuit, upload bool) leafChosen {
	ask := leafAsk{upload: upload}
	if _, ask.ceilMbps = circuit.mbps(upload); circuit.SQMOverride != nil {
		ask.override = *circuit.SQMOverride
	}
	chosen, known := memo[ask]
	if !known {
		if chosen.leaf, chosen.err = c.leaf(*circuit, upload); chosen.err == nil && chosen.leaf.words != nil {
			chosen.options, chosen.err = chosen.leaf.options()
		}
		memo[ask] = chosen
	}
	return chosen
}

// options is the leaf of a circuit in one direction, nil for none.
func (memo leafMemo) options(c Commit, circuit *AddCircuit, upload bool) (tc.Options, error) {
	chosen := memo.choose(c, circuit, upload)
	return chosen.options, chosen.err
}
