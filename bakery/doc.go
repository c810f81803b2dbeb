// Package bakery turns commands into a shaping tree.
//
// A client asks for something with a [Command]. The bakery resolves it (what the
// configuration and the host decide is written into it), checks that it can be
// folded, and has it appended to the event log as a [Record]. [Fold] is the one
// function that gives a record its meaning: it changes a [Tree], needs nothing
// but its two arguments, and so gives the same Tree on every machine, at any time.
//
//	bus ──Submission──▶ folder ──▶ eventlog (durable) ──▶ acker ──Outcome──▶ bus
//	                      │                                 │ │
//	                    Tree (tentative)  Sink (tc-rust.txt)◀┘ └─wakes─▶ reconciler ◀──▶ Kernel, Dataplane
//
// Second-generation clients state their whole network as a [Batch], which becomes one
// [Commit].
//
// In apply mode the reconciler brings a [Kernel] to what the newest durable Tree asks for:
// it reads the links, tells what drifted from what has to be done, writes the difference,
// and reads again ([KernelStatus], [Handle.WaitApplied]).
// Address mappings go to a [Dataplane]: an address points to a class only while the kernel
// has the class, and what records removed goes when the commands have been quiet.
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
//   - The Kernel is given what is durable, and only what differs from what was read.
//   - Handles that no client chose are assigned by Fold, deterministically, and stay
//     the same over refreshes ([Tree] remembers them).
//
// The package knows neither sockets, files nor clocks, and of a kernel only the
// interface: the callers inject what it needs ([Options]). Package replay folds the same records offline; the
// commands lqosd and bakery-replay wire it all together.
package bakery
