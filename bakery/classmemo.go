package bakery

import "lqosd/bakery/tc"

// classMemo remembers of which classes it is known whether they exist: many addresses have
// the same one. A page has those whose handles begin alike.
type classMemo struct {
	pages map[tc.Handle]*[256]byte
}

func (c *classMemo) ask(class tc.Handle, exists func() bool) bool {
	const isThere, isNot = 1, 2
	page := c.pages[class>>8]
	if page == nil {
		if c.pages == nil {
			c.pages = map[tc.Handle]*[256]byte{}
		}
		page = new([256]byte)
		c.pages[class>>8] = page
	}
	known := &page[class&255]
	if *known == 0 {
		*known = isNot
		if exists() {
			*known = isThere
		}
	}
	return *known == isThere
}
