package eventlog

import "errors"

// Errors on which a caller decides. They come wrapped: test with errors.Is.
var (
	// ErrCorrupt: bytes on disk are not what was written. Nothing is repaired or skipped by itself.
	ErrCorrupt = errors.New("event log is damaged")
	// ErrNewerFormat: the log was written by a newer program and is not damaged. A newer reader is needed.
	ErrNewerFormat = errors.New("event log has a newer format")
	// ErrUnknownOutcome: a commit failed half way, so its records may or may not be in the log. After it the log is
	// poisoned; closing it, opening it again and looking at LastSeq (or at the key) tells which.
	ErrUnknownOutcome = errors.New("outcome of the commit is unknown")
	// ErrNotAppended: the records are certainly not in the log and never will be.
	ErrNotAppended = errors.New("not appended")
	// ErrPoisoned: an earlier commit failed and the log accepts nothing more until it is opened again. It always comes
	// together with ErrNotAppended where records are concerned.
	ErrPoisoned = errors.New("log is poisoned by a failed commit")
	// ErrClosed: the log or reader was closed.
	ErrClosed = errors.New("event log is closed")
	// ErrTooLarge: a record, a transaction, a key or a cursor is over its limit.
	ErrTooLarge = errors.New("too large")
	// ErrPruned: the records asked for are older than the oldest segment that is left.
	ErrPruned = errors.New("records were pruned")
)
