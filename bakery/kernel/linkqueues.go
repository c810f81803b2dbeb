package kernel

import (
	"errors"
	"fmt"

	link "github.com/vishvananda/netlink"

	"lqosd/bakery/tc"
)

// LinkQueues is the index of a link and how many rx and tx queues it was made with; a
// driver may use fewer. A link that isn't there is tc.ErrNoLink.
func LinkQueues(name string) (index, rx, tx int, err error) {
	l, err := link.LinkByName(name)
	var missing link.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return 0, 0, 0, fmt.Errorf("link %s: %w", name, tc.ErrNoLink)
	case err != nil:
		return 0, 0, 0, fmt.Errorf("asking for link %s: %w", name, err)
	}
	a := l.Attrs()
	return a.Index, a.NumRxQueues, a.NumTxQueues, nil
}
