// Package tc holds the pure words of Linux traffic control: handles, rates,
// qdiscs and classes, the tree they form, and tc(8) text in and out.
//
// It reads no file, opens no socket and knows no clock: the same input gives
// the same output on every machine. Its only import outside the standard
// library is the maps of package radix (docs/adr/0012).
//
//	tc text ──ParseLine──▶ Op ──State.Apply──▶ State ──Canonical──▶ State
//	                       ▲                     │                    │
//	                       └───────Plan──────────┴──Diff, Script──────┘
//
// A State is the tree of qdiscs and classes of any number of links. One
// goroutine writes a State; Clone is cheap enough to publish a copy after every
// write. Two States, one wanted and one observed, are brought to the kernel's
// own form by Canonical, compared by Diff, and joined by Plan: the ordered Ops
// that lead from one to the other.
//
// Guarantees:
//
//   - Line and ParseLine are inverse: an Op's line reads back as the same Op.
//   - Script and ParseScript are inverse for every State.
//   - Apply either does all of an Op or returns a *StateError and changes
//     nothing.
//   - Rates are whole bits per second and never pass through binary fractions.
//   - Everything ordered is ordered by value, never by map order or by time.
//
// What tc(8) accepts was checked against iproute2 6.1, and what the kernel
// makes of it against Linux 6.18; functions name their sources.
package tc
