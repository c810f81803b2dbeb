// Package bakery turns commands into a shaping tree.
//
// A client asks for something with a [Command]. The bakery resolves it (what the
// configuration and the host decide is written into it), checks that it can be
// folded, and has it appended to the event log as a [Record]. [Fold] is the one
// function that gives a record its meaning: it changes a [Tree], needs nothing
// but its two arguments, and so gives the same Tree on every machine, at any time.
//
//	bus ──Submission──▶ folder ──▶ eventlog (durable) ──▶ acker ──Outcome──▶ bus
//	                      │                                 │
//	                    Tree (tentative)                  Sink (tc-rust.txt)
//
// Guarantees:
//
//   - What an [Outcome] without error names by Seq is durable, and the Sink was given
//     its lines. A Sink that fails gets them again later: [Health] tells.
//   - A command that can't be folded is refused with its reason and is not logged:
//     every log folds.
//   - One goroutine owns the Tree. Readers get a clone that shares what hasn't
//     changed since ([Handle.Tree]); they never lock and never see a command
//     that isn't durable.
//   - Handles that no client chose are assigned by Fold, deterministically, and stay
//     the same over refreshes ([Tree] remembers them).
//
// The package knows neither sockets, files, clocks nor kernels: the callers inject
// what it needs ([Options]). Package replay folds the same records offline; the
// commands lqosd and bakery-replay wire it all together.
package bakery
