// Package kerneltest has a kernel for tests that need no root: [Fake] keeps qdiscs and
// classes, answers with Linux's errors and has its quirks. It implements
// [lqosd/bakery.Kernel]; nothing but tests imports it.
//
// Its facts were found by asking Linux 6.18 with tc(8), and each has a test in [Contract],
// which the fake and the real kernel (package kernel) both pass. So a test against the
// fake means something.
//
//	test ── Meddle ──▶ ┌──────┐ ◀── Observe, Apply, Execute ── reconciler
//	     ◀─ Writes ─── │ Fake │ ─── changed(link) ───────────▶
//	     ── Fail… ───▶ └──────┘
//
// What somebody else does to the kernel is Meddle; what goes wrong in it is FailNext,
// FailWhen, LoseAcks, FailObserve, FailWatch, Mute and Overrun; Before and Block stop the
// time between two ops; Writes and Counts tell what the reconciler did.
//
// [Dataplane] is what steers packets to its classes: it looks at every moment whether an
// entry points to a class that isn't there.
//
// # What it doesn't have
//
// The kinds that a kernel can be without are all there, unless Lack takes them away. No
// traffic passes, and there are no filters. Every minor of a tbf or netem is the one place
// that it has to Linux; the fake takes only HANDLE:1. Memory doesn't end.
package kerneltest
