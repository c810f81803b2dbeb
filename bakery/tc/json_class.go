package tc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// jsonClass is a class as tc(8) prints it from 6.10 on.
type jsonClass struct {
	jsonPlace
	Kind      string     `json:"class"`
	Prio      jsonNumber `json:"prio"`
	Quantum   jsonNumber `json:"quantum"`
	Rate      jsonNumber `json:"rate"`
	Ceil      jsonNumber `json:"ceil"`
	Burst     jsonNumber `json:"burst"`
	Cburst    jsonNumber `json:"cburst"`
	MPU       jsonNumber `json:"mpu_rate"`
	Overhead  jsonNumber `json:"overhead"`
	LinkLayer string     `json:"linklayer"`
}

// readClasses reads JSON or text, whichever it is, and keeps the HTB classes.
func readClasses(r io.Reader, link string) ([]Class, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var list []jsonClass
	switch trimmed := bytes.TrimSpace(text); {
	case len(trimmed) == 0:
		return nil, nil
	case trimmed[0] == '[':
		err = json.Unmarshal(trimmed, &list)
	default:
		list, err = readClassText(trimmed)
	}
	if err != nil {
		return nil, err
	}
	var classes []Class
	for i := range list {
		if list[i].Kind != "htb" {
			continue
		}
		c, err := list[i].class(link)
		if err != nil {
			return nil, fmt.Errorf("class %s: %w", list[i].Handle, err)
		}
		classes = append(classes, c)
	}
	return classes, nil
}

func (j *jsonClass) class(link string) (Class, error) {
	var c Class
	var err error
	if c.Link, err = j.link(link); err != nil {
		return c, err
	}
	if c.ID, err = ParseHandle(j.Handle); err != nil {
		return c, err
	}
	if c.Parent, err = j.parent(); err != nil {
		return c, err
	}
	c.HTB = HTBClass{
		Rate: Rate(j.Rate) * 8, Ceil: Rate(j.Ceil) * 8,
		Prio: uint32(j.Prio), Quantum: uint32(j.Quantum),
		MPU: uint16(j.MPU), Overhead: uint16(j.Overhead),
	}
	c.HTB.Burst = shownBurst(c.HTB.Rate, uint32(j.Burst))
	c.HTB.Cburst = shownBurst(c.HTB.Ceil, uint32(j.Cburst))
	c.HTB.LinkLayer, err = jsonLinkLayer(j.LinkLayer)
	return c, err
}

// shownBurst is the burst behind the size that tc(8) shows: 0 if it is what
// tc(8) computes by itself, else the shortest that is shown like that. tc(8) turns ticks back into
// microseconds and those into bytes, rounding down twice (tc_calc_xmitsize in
// tc_core.c), and shows sizes near a whole Kb as that.
func shownBurst(rate Rate, shown uint32) uint32 {
	var h Host
	if near(h.shownSize(rate, h.computedBurst(rate, 0)), shown) {
		return 0
	}
	if rate.BytesPerSecond() == 0 {
		return shown
	}
	micros := transmitMicros(rate, shown)
	for more := range uint64(3) {
		if size := transmitBytes(rate, micros+more); near(h.shownSize(rate, size), shown) {
			return size
		}
	}
	return h.canonicalBurst(rate, shown, 0)
}

// shownSize is what tc(8) shows for a burst.
func (h Host) shownSize(rate Rate, size uint32) uint32 {
	ticks := h.microTicks(transmitMicros(rate, size))
	micros := uint64(ticks) * h.tickNanos() / 1000
	return uint32(rate.BytesPerSecond() * micros / 1e6)
}

// near is how far a size that is shown in Kb can be off.
func near(a, b uint32) bool { return a == b || max(a, b)-min(a, b) < 16 && b%1024 == 0 }

// readClassText reads the lines that tc(8) printed before it knew JSON here:
// "class htb 1:5 [dev IF] parent 1:1 leaf 8001: prio 0 quantum 1000 rate …".
func readClassText(text []byte) ([]jsonClass, error) {
	var list []jsonClass
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 3 || words[0] != "class" {
			continue // statistics, or an empty line
		}
		j := jsonClass{Kind: words[1]}
		j.Handle = words[2]
		for i := 3; i < len(words); i++ {
			value := ""
			if i+1 < len(words) {
				value = words[i+1]
			}
			used, err := j.word(words[i], value)
			if err != nil {
				return nil, fmt.Errorf("class %s: %s: %w", j.Handle, words[i], err)
			}
			if used {
				i++
			}
		}
		list = append(list, j)
	}
	return list, lines.Err()
}

// word takes one word and its value; used is false for a word without.
func (j *jsonClass) word(name, value string) (used bool, err error) {
	switch name {
	case "root":
		j.Root = true
		return false, nil
	case "parent":
		j.Parent = value
	case "dev":
		j.Dev = value
	case "linklayer":
		j.LinkLayer = value
	case "rate":
		err = shownRate(value, &j.Rate)
	case "ceil":
		err = shownRate(value, &j.Ceil)
	case "prio":
		err = j.Prio.UnmarshalJSON([]byte(value))
	case "quantum":
		err = j.Quantum.UnmarshalJSON([]byte(value))
	case "burst":
		err = j.Burst.UnmarshalJSON([]byte(value))
	case "cburst":
		err = j.Cburst.UnmarshalJSON([]byte(value))
	case "mpu":
		err = j.MPU.UnmarshalJSON([]byte(value))
	case "overhead":
		err = j.Overhead.UnmarshalJSON([]byte(value))
	}
	return true, err
}

func shownRate(s string, dst *jsonNumber) error {
	r, err := ParseRate(s)
	*dst = jsonNumber(r.BytesPerSecond())
	return err
}
