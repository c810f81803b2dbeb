package bus

import (
	"context"
	"fmt"
)

// Future is the answer to a session that was sent with [Client.Go].
type Future struct {
	calls   int
	done    chan struct{} // closed once replies and err are set
	replies []Reply
	err     error
}

func (f *Future) complete(replies []Reply, err error) {
	f.replies, f.err = replies, err
	if err == nil && len(replies) != f.calls {
		f.replies, f.err = nil, fmt.Errorf("the server gave %d replies to %d requests", len(replies), f.calls)
		if len(replies) == 1 && replies[0].Err() != nil {
			f.err = fmt.Errorf("the server refused the session: %w", replies[0].Err())
		}
	}
	close(f.done)
}

// Wait returns one reply per call, in order. It may be called several times. If ctx ends first the session stays in flight;
// what became of it is unknown.
func (f *Future) Wait(ctx context.Context) ([]Reply, error) {
	select {
	case <-f.done:
		return f.replies, f.err
	default:
	}
	select {
	case <-f.done:
		return f.replies, f.err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for an answer: %w", ctx.Err())
	}
}

// Done is closed when Wait would not block.
func (f *Future) Done() <-chan struct{} { return f.done }
