package kernel

import (
	"errors"
	"fmt"

	link "github.com/vishvananda/netlink"
)

// find is the link with a name; nil if there is none.
func (k *Kernel) find(name string) (*link.LinkAttrs, error) {
	l, err := k.links.LinkByName(name)
	if errors.As(err, new(link.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for link %s: %w", name, err)
	}
	if l.Attrs().Name != name { // an alternative name: nothing else here knows it
		return nil, nil
	}
	return l.Attrs(), nil
}
