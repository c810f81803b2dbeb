// Package sim lets a whole daemon live through hours of trouble in seconds: clients, the
// bakery with its real event log on a disk that fails, a fake kernel and a fake dataplane,
// all in one process and in one bubble of testing/synctest, where time passes only when
// nobody has anything to do.
//
//	scheduler ──▶ clients ──Submission──▶ bakery ──▶ eventlog ──▶ disk: slow, fails, ends in the middle of a commit
//	   │ seed                               │ reconciler
//	   │                                    ├──▶ kernel: refuses, loses answers, dies at an op
//	   └──▶ somebody else meddles ─────────▶└──▶ dataplane: fails half way
//
// One seed is one run. The scheduler does one thing at a time, each at a moment of its own,
// and lets everything come to rest before the next; each part that draws numbers has a
// stream of its own. So the same seed gives the same trace (TestSameSeedSameTrace), and a
// seed that failed stays in testdata/seeds.
//
// # What holds
//
// After every step: what was answered is in the log as it was answered, in order; what was
// refused isn't; a transaction is there whole or not at all; seqs have no gaps; a key is in
// the log once; every record folds; what was durable stays; no address points to a class
// that isn't there; nothing drifts where nobody meddles; the Sink has the lines of what is
// durable.
//
// When nothing fails any more for a while: the tree that lives is the one that the whole log
// folds to; the kernel and the dataplane have what it asks for. From there on a restart
// writes nothing, nor does the same network sent once more, and what somebody changes is
// seen, told, and undone if that is the policy.
//
// # What is no part of it
//
// The bus, the real kernel and the real file system have harnesses of their own. The log's
// crash states are made from the sectors that a commit changed, so fsync counts for what it
// orders, not for what a file system does about it.
package sim
