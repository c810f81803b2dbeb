// Package fault says what goes wrong with an event log's disk. Package eventlog asks, and package eventlogtest, which
// alone can make Hooks besides, answers for a test.
package fault

// Hooks run in the goroutine that commits. Any may be nil.
type Hooks struct {
	// Before runs before anything of a commit is stored; its error is a known failure.
	Before func() error
	// Commit runs in place of a commit, which it makes with commit, or doesn't; its error is an unknown outcome.
	Commit func(commit func() error) error
	// Roll runs before each step of a roll, named as in package eventlog; its error ends the roll there.
	Roll func(step string) error
	// OneThread: that goroutine keeps to one thread, whose n-th system call is always the same.
	OneThread bool
}
