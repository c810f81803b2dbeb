// Package eventlog is an append-only log of opaque records on bbolt files: gap-free, durable on return, checked on every
// read. The daemon appends every command to it before anything acts on it, folds its state from it at start, and everybody
// else reads it. The bytes on disk are described in docs/format.md.
//
//	Enqueue ─▶ queue ─▶ committer ─▶ bbolt commit ─▶ ring ─▶ Done, Wait
//	           (seq)    (one group)  (1 or 2 fsyncs)  │
//	Records ◀──────── sealed segments ◀─ live file ◀──┘
//
// # Guarantees
//
//   - A Tx is durable when its Pending is done without error: it survives a crash of the program and a power cut, as far as
//     the disk keeps what it said it has synced.
//   - The records of a Tx are all there or none is. Records have seqs from 1 without gaps, in the order of Enqueue.
//   - A Tx with a Key is appended once: a retry gets the seqs of the first time, over restarts and rolls, as long as the key
//     is among the last 65,536.
//   - A record that is read is what was written: a CRC-32C per frame, and one BLAKE3 chain through all frames of the log,
//     checked by Open for the live segment and by Verify for all.
//   - A failed commit has an unknown outcome (bbolt may return an error for a commit that is on disk). Nothing more is
//     accepted then: ErrUnknownOutcome for what was in that commit, ErrNotAppended for what waited. Close, Open and LastSeq
//     or Known tell what is there.
//   - One writer: a second Open gets a *HeldError at once. The lock ends with the process.
//   - Damage is never repaired, skipped or written over. Only the snapshot and the list of keys, which can be made again from
//     older segments, have a substitute.
//
// # Segments
//
// The log is a directory of segments named by their first seq. The newest is live, the others are sealed: mode 0400, with
// their last seq and chain. A segment starts with what a fold needs to begin there: the caller's snapshot, the cursors and
// the known keys. Retention removes whole segments, so that nothing is ever deleted inside of a file.
//
// # Crash states
//
// Files get their names when they are complete, so a directory can be found in these states, and Open does this:
//
//	no directory, empty, or only LOCK   the log was never created: create it
//	first segment only as NAME.tmp      same: remove it, create the log
//	next segment only as NAME.tmp       the roll did not happen (steps "make" and "made"): remove it
//	next segment named, old not sealed  (step "named") check that it ends where the next begins, seal and retire it
//	old sealed, but long or writable    (step "sealed") retire it: cut it to size, mode 0400
//	old sealed and retired              nothing to do
//	some of the oldest segments gone    pruning was interrupted: nothing to do
//
// Inside of a file bbolt's own commit is atomic: data pages, fsync, meta page, fsync. A big group that follows a big one has one fsync for both, and
// may be cut off in the middle: once.go tells how that is seen, and dropped. A copy, and a log that Make or Salvage
// makes, appears under its name when it is complete; "DIR.partial-*" is left by one that was interrupted. A
// bucket "room" is what a commit left to the next one, which deletes it.
package eventlog
