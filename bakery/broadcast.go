package bakery

import "sync"

// broadcast holds a value that one goroutine replaces and others wait for.
type broadcast[T any] struct {
	mu   sync.Mutex
	v    *T
	next chan struct{} // closed when v is replaced
}

// get gives the value, nil before the first, and a channel that closes when there is
// another.
func (b *broadcast[T]) get() (*T, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.v, b.next
}

func (b *broadcast[T]) set(v *T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.v = v
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}
