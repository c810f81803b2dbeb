package bus

// A document of aheadFrom bytes or more is read on a goroutine of its own, beside those before and behind it; one of more than aheadTo
// isn't, because that would multiply the memory that a connection takes.
const (
	aheadFrom = 16 << 10
	aheadTo   = 1 << 20
	maxAhead  = 4 // documents of one connection that are being read, or wait for their turn
)

// ahead are the documents of a connection that are read ahead, each on a goroutine that takes it once those before it are taken.
// put and settle are the reader's.
type ahead struct {
	room chan struct{} // has one for each that isn't taken
	last chan struct{} // closed when the last is taken; nil: there is none
	err  error         // of a take, after which there is no other; it is whose turn it is
}

func newAhead() ahead { return ahead{room: make(chan struct{}, maxAhead)} }

// put reads a document, and takes it when it is its turn. It blocks while there are too many. What a take says shows in settle; one
// that fails has ended the connection.
func (a *ahead) put(read func(), take func() error) {
	a.room <- struct{}{}
	before, taken := a.last, make(chan struct{})
	a.last = taken
	go func() {
		defer func() { <-a.room; close(taken) }()
		read()
		if before != nil {
			<-before
		}
		if a.err == nil {
			a.err = take()
		}
	}()
}

// settle waits until all that was put has been taken.
func (a *ahead) settle() error {
	if a.last != nil {
		<-a.last
		a.last = nil
	}
	return a.err
}
