package eventlog

// Pending is a transaction, or a roll, on its way into the log.
type Pending struct {
	res  Result
	done *completion
	own  completion // what done is, unless somebody else has to keep that

	// What is still to be written; let go of when it is done.
	key     string
	records [][]byte
	size    int
	roll    *Snapshot
}

// completion is how something in the queue ended. A duplicate shares that of the first time.
type completion struct {
	ch  chan struct{} // closed when err is final
	err error
}

func newCompletion() *completion { return &completion{ch: make(chan struct{})} }

// begin makes the completion of a transaction. That of one with a key outlives it: it is a part of nothing else.
func (p *Pending) begin() {
	if p.key != "" {
		p.done = newCompletion()
		return
	}
	p.own.ch = make(chan struct{})
	p.done = &p.own
}

// completed is the completion of what was durable before.
var completed = func() *completion {
	c := newCompletion()
	close(c.ch)
	return c
}()

// Result is where the records go, or, once Done, where they are. For a roll First and Last are both the last seq of the
// segment that it ends.
func (p *Pending) Result() Result { return p.res }

// Done is closed when the outcome is known.
func (p *Pending) Done() <-chan struct{} { return p.done.ch }

// Wait blocks until the outcome is known. A nil error means durable; ErrNotAppended that nothing was written;
// ErrUnknownOutcome that nobody knows before the log was opened again.
func (p *Pending) Wait() (Result, error) {
	<-p.done.ch
	return p.res, p.done.err
}

func (p *Pending) finish(err error) {
	p.records, p.roll = nil, nil
	p.done.err = err
	close(p.done.ch)
}
