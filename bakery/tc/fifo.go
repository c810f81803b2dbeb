package tc

import "math"

// Pfifo is a queue of at most Limit packets. A `change` without a limit changes
// nothing.
type Pfifo struct {
	Limit Opt[uint32] // packets; default the link's queue length
}

// Bfifo is a queue of at most Limit bytes. A `change` without a limit changes
// nothing.
type Bfifo struct {
	Limit Opt[uint32] // bytes; default the link's queue length in full frames
}

// Kind is "pfifo".
func (Pfifo) Kind() string { return "pfifo" }

// String is the options in tc(8)'s words.
func (o Pfifo) String() string { return optionString(o) }

func (o Pfifo) fields() []field {
	var l fieldList
	l.optNum("limit", o.Limit)
	return l
}

func (o Pfifo) change(given Options) (Options, bool) {
	return Pfifo{Limit: given.(Pfifo).Limit.orOpt(o.Limit)}, true
}

// canonical fills in the default of fifo_init (sch_fifo.c).
func (o Pfifo) canonical(h Host, link string) Options {
	return Pfifo{Limit: o.Limit.orOpt(Some(h.link(link).TxQueueLen))}
}

func parsePfifo(w *words) Options { return Pfifo{Limit: parseLimit(w)} }

// Kind is "bfifo".
func (Bfifo) Kind() string { return "bfifo" }

// String is the options in tc(8)'s words.
func (o Bfifo) String() string { return optionString(o) }

func (o Bfifo) fields() []field {
	var l fieldList
	if o.Limit.Given {
		l.add("limit", FormatSize(o.Limit.Value))
	}
	return l
}

func (o Bfifo) change(given Options) (Options, bool) {
	return Bfifo{Limit: given.(Bfifo).Limit.orOpt(o.Limit)}, true
}

// canonical fills in the default of fifo_init (sch_fifo.c).
func (o Bfifo) canonical(h Host, link string) Options {
	l := h.link(link)
	bytes := min(uint64(l.TxQueueLen)*uint64(l.frame()), math.MaxUint32)
	return Bfifo{Limit: o.Limit.orOpt(Some(uint32(bytes)))}
}

func parseBfifo(w *words) Options { return Bfifo{Limit: parseLimit(w)} }

// parseLimit reads the only option of both; tc(8) reads a size, of packets too.
func parseLimit(w *words) Opt[uint32] {
	var limit Opt[uint32]
	for w.next() {
		if w.word == "limit" {
			readOpt(w, &limit, ParseSize)
		} else {
			w.unknown()
		}
	}
	return limit
}
