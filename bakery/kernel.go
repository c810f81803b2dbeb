package bakery

import (
	"context"

	"lqosd/bakery/tc"
)

// Kernel is what the reconciler needs of a kernel: package kernel has the real one,
// kerneltest a fake. One goroutine calls Observe, Apply and Execute; Watch runs beside
// it.
type Kernel interface {
	// Host is what tc(8) and the kernel look up before they compute a value; its Links
	// are empty, Observe tells them.
	Host() tc.Host
	// Identity names the running kernel and the network namespace, for as long as both
	// live: another text means that nothing of what was applied is left.
	Identity() string
	// Observe reads what is on the links. One that isn't there is missing from the map.
	// What was read is of one moment: a dump that was interrupted is read again. Where it is
	// the same as in what is known of a link it may share that.
	Observe(ctx context.Context, links []string, known map[string]*tc.State) (map[string]tc.Observed, error)
	// Apply does ops in order and gives a Result for each. One that fails doesn't stop
	// the others, except for classes below a class that couldn't be made, which are
	// tc.ErrNotTried. The errors wrap those of package tc where one fits.
	Apply(ctx context.Context, ops []tc.Op) []tc.Result
	// Execute runs a line that isn't modelled with tc(8).
	Execute(ctx context.Context, line string) error
	// Watch calls changed with the name of a link, whenever somebody else than this
	// Kernel changed something of it, or it came or went; "" means that it can be any.
	// It calls changed("") once it has begun to watch, and when it lost messages; so does
	// an Apply that makes much, before it returns, for what was changed meanwhile. It
	// returns when ctx ends, or with an error. changed must not block.
	Watch(ctx context.Context, changed func(link string)) error
}
