package host

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// DefaultQueues is the number of queues per direction where nothing says how many there are.
const DefaultQueues = 16

// QueueRule is what the number of queues per direction follows from, besides the host itself.
type QueueRule struct {
	Override   *int   // override_available_queues, or nil
	ToInternet string // the names of the two links; on a stick they are one
	ToNetwork  string
}

// LinkQueues counts the rx and tx queues of a link: the directories rx-N and tx-N of /sys/class/net/NAME/queues
// (Documentation/ABI/testing/sysfs-class-net-queues of the kernel). A link that isn't there is fs.ErrNotExist. Where /sys
// belongs to another network namespace the kernel's own answer counts, which says how many queues the link was made with.
func (h Host) LinkQueues(name string) (rx, tx int, err error) {
	if h.links != nil {
		index, rx, tx, err := h.links(name)
		if err != nil {
			return 0, 0, fmt.Errorf("counting the queues of link %s: %w: %w", name, fs.ErrNotExist, err)
		}
		if shown, _ := h.line("sys/class/net/" + name + "/ifindex"); shown != strconv.Itoa(index) {
			return rx, tx, nil
		}
	}
	entries, err := fs.ReadDir(h.root, "sys/class/net/"+name+"/queues")
	if err != nil {
		return 0, 0, fmt.Errorf("counting the queues of link %s: %w", name, err)
	}
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), "rx-"):
			rx++
		case strings.HasPrefix(e.Name(), "tx-"):
			tx++
		}
	}
	return rx, tx, nil
}

// MadeTxQueues tells how many tx queues links were made with, those of them that are there: what mq can have. The kernel
// has to be asked ([Host.Asking]).
func (h Host) MadeTxQueues(links ...string) map[string]int {
	made := map[string]int{}
	for _, name := range links {
		if h.links == nil {
			break
		}
		if _, _, tx, err := h.links(name); err == nil {
			made[name] = tx
		}
	}
	return made
}

// Queues is the number of queues per direction, at least 1, and the reason for it in words.
//
// It is override_available_queues, or else the smallest of the rx and tx queues of both links and the CPUs. On a stick,
// where both directions share the link's queues, it is half of that, rounded down (ADR 0004). A link that isn't there isn't
// counted. Where there is no override and no link, or the number of CPUs can't be read, it is [DefaultQueues].
func (h Host) Queues(r QueueRule) (n int, reason string) {
	stick := r.ToInternet == r.ToNetwork
	if r.Override != nil {
		n, reason = *r.Override, "override_available_queues"
	} else {
		var err error
		if n, reason, err = h.countQueues(r, stick); err != nil {
			return DefaultQueues, fmt.Sprintf("the default, because: %v", err)
		}
	}
	if stick {
		n /= 2
		reason = "half of " + reason
	}
	return max(n, 1), reason
}

// countQueues finds the smallest of everything that limits the queues.
func (h Host) countQueues(r QueueRule, stick bool) (n int, reason string, err error) {
	if n, err = h.CPUs(); err != nil {
		return 0, "", err
	}
	reason = fmt.Sprintf("the smallest of %d CPUs", n)
	links := []string{r.ToInternet, r.ToNetwork}
	if stick {
		links = links[:1]
	}
	there := 0
	for _, link := range links {
		rx, tx, missing := h.LinkQueues(link)
		if missing != nil {
			if err == nil {
				err = missing
			}
			continue
		}
		there++
		n = min(n, rx, tx)
		reason += fmt.Sprintf(", %s with %d rx and %d tx queues", link, rx, tx)
	}
	if there == 0 {
		return 0, "", err
	}
	return n, reason, nil
}
