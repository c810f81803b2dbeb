package bakery

import (
	"context"

	"lqosd/bakery/tc"
)

// Dataplane steers packets to classes by their addresses: package xdp has the real one,
// kerneltest a fake. One goroutine, the one that also calls the Kernel, calls it.
type Dataplane interface {
	// Steers reads what is in the dataplane, in any order.
	Steers(ctx context.Context) ([]tc.Steer, error)
	// Steer adds or changes what is in set, then removes what is in drop; nothing else
	// changes at any moment. What both are empty for writes nothing. After an error some
	// of it may have been done: read again.
	Steer(ctx context.Context, set, drop []tc.Steer) error
}
