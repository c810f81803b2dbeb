package tc

import (
	"fmt"
	"math"
	"strings"
	"time"
)

func parseNetem(w *words) Options {
	var o Netem
	for w.next() {
		switch complete(w.word, "limit", "latency", "delay", "loss", "drop", "ecn", "reorder",
			"corrupt", "gap", "duplicate", "distribution", "rate", "slot") {
		case "limit":
			readOpt(w, &o.Limit, ParseSize)
		case "latency", "delay":
			o.parseDelay(w)
		case "loss", "drop":
			o.Loss.parse(w)
		case "ecn":
			o.ECN = true
		case "reorder":
			readPercents(w, &o.Reorder, &o.ReorderCorr)
		case "corrupt":
			readPercents(w, &o.Corrupt, &o.CorruptCorr)
		case "duplicate":
			readPercents(w, &o.Duplicate, &o.DupCorr)
		case "gap":
			read(w, &o.Gap, uint32Any)
		case "distribution":
			read(w, &o.Distribution, distribution)
		case "rate":
			o.Rate.parse(w)
		case "slot":
			o.Slot.parse(w)
		default:
			w.unknown()
		}
	}
	o.check(w)
	return o
}

// check refuses what netem_parse_opt (q_netem.c) does.
func (o *Netem) check(w *words) {
	switch {
	case o.Reorder != 0 && o.Delay == 0:
		w.fail("reorder needs a delay")
	case o.Reorder == 0 && o.Gap != 0:
		w.fail("gap needs reorder")
	case o.ECN && o.Loss.P[0] == 0 && o.Loss.Model <= LossRandom:
		w.fail("ecn needs loss")
	case o.Distribution != "" && (o.Delay == 0 || o.Jitter == 0):
		w.fail("distribution needs a delay and a jitter")
	}
	if o.Loss.Model == LossRandom && o.Loss.P == [5]Percent{} {
		o.Loss.Model = LossNone
	}
}

func (o *Netem) parseDelay(w *words) {
	o.Jitter, o.DelayCorr = 0, 0
	read(w, &o.Delay, netemTime)
	if nextIsNumber(w) {
		readHere(w, "jitter", &o.Jitter, netemTime)
	}
	if nextIsNumber(w) {
		readHere(w, "delay correlation", &o.DelayCorr, ParsePercent)
	}
}

// netemTime reads a time that fits in 32 bits of 64 ns ticks.
func netemTime(s string) (time.Duration, error) {
	t, err := ParseTime(s)
	if err == nil && t > math.MaxUint32*64 {
		return 0, fmt.Errorf("time %q: more than %v", s, time.Duration(math.MaxUint32*64))
	}
	return t, err
}

func distribution(s string) (string, error) {
	if strings.ContainsAny(s, "/.") {
		return "", fmt.Errorf("%q: want the name of a table, such as normal", s)
	}
	return s, nil
}

// nextIsNumber is how tc(8) tells a further value from the next option.
func nextIsNumber(w *words) bool {
	next := w.peek()
	return w.err == nil && next != "" && '0' <= next[0] && next[0] <= '9'
}

func nextIsSigned(w *words) bool {
	return nextIsNumber(w) || w.err == nil && strings.HasPrefix(w.peek(), "-")
}

// readHere reads the next word itself as a value; what names it in messages.
func readHere[T any](w *words, what string, dst *T, parse func(string) (T, error)) {
	if !w.next() {
		w.fail("%s is missing", what)
		return
	}
	v, err := parse(w.word)
	if err != nil {
		w.fail("%s: %v", what, err)
		return
	}
	*dst = v
}

func readPercents(w *words, p, corr *Percent) {
	option := w.word
	*corr = 0
	read(w, p, ParsePercent)
	if nextIsNumber(w) {
		readHere(w, option+" correlation", corr, ParsePercent)
	}
}

// parse reads `[random] P [CORR]`, `state P13 …` or `gemodel P …`.
func (l *NetemLoss) parse(w *words) {
	*l = NetemLoss{Model: LossRandom}
	names := []string{"loss", "loss correlation"}
	switch w.peek() {
	case "random":
		w.next()
	case "state":
		w.next()
		l.Model = LossState
		names = []string{"p13", "p31", "p32", "p23", "p14"}
	case "gemodel":
		w.next()
		l.Model = LossGE
		names = []string{"p", "r", "1-h", "1-k"}
	}
	for i, name := range names {
		if i > 0 && !nextIsNumber(w) {
			break
		}
		readHere(w, name, &l.P[i], ParsePercent)
		if i == 0 {
			l.setDefaults()
		}
	}
}

// setDefaults fills in what follows from the first parameter.
func (l *NetemLoss) setDefaults() {
	switch l.Model {
	case LossState:
		l.P[1], l.P[3] = math.MaxUint32-l.P[0], math.MaxUint32
	case LossGE:
		l.P[1], l.P[2] = math.MaxUint32, math.MaxUint32
	}
}

func (r *NetemRate) parse(w *words) {
	*r = NetemRate{}
	read(w, &r.Rate, ParseRate)
	if nextIsSigned(w) {
		readHere(w, "packet overhead", &r.PacketOverhead, int32In(math.MinInt32, math.MaxInt32))
	}
	if nextIsNumber(w) {
		readHere(w, "cell size", &r.CellSize, uint32Any)
	}
	if nextIsSigned(w) {
		readHere(w, "cell overhead", &r.CellOverhead, int32In(math.MinInt32, math.MaxInt32))
	}
}

func (l *NetemSlot) parse(w *words) {
	*l = NetemSlot{}
	if w.peek() == "distribution" {
		w.next()
		readHere(w, "slot distribution", &l.Distribution, distribution)
		readHere(w, "slot delay", &l.Delay, slotTime)
		readHere(w, "slot jitter", &l.Jitter, slotTime)
	} else {
		readHere(w, "slot delay", &l.MinDelay, slotTime)
		l.MaxDelay = l.MinDelay
		if nextIsNumber(w) {
			readHere(w, "slot delay", &l.MaxDelay, slotTime)
		}
	}
	for _, bound := range []struct {
		name string
		dst  *int32
	}{{"packets", &l.Packets}, {"bytes", &l.Bytes}} {
		if next := w.peek(); next != "" && strings.HasPrefix(bound.name, next) {
			w.next()
			read(w, bound.dst, int32In(0, math.MaxInt32))
		}
	}
}

// slotTime is a time whose bare number is nanoseconds.
func slotTime(s string) (time.Duration, error) { return parseDuration(s, time.Nanosecond) }
