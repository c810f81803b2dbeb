package kernel

import (
	"cmp"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"lqosd/bakery/kerneltest"
	"lqosd/internal/testenv"
)

// TestContract: the real kernel, seen through this package, keeps what bakery.Kernel
// promises and the fake does.
func TestContract(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) {
		testenv.Need(t, testenv.TC)
		kerneltest.Contract(t, func(t *testing.T, links ...kerneltest.Link) kerneltest.Subject {
			k, err := Open()
			if err != nil {
				t.Fatal(err)
			}
			s := &subject{Kernel: k, t: t}
			t.Cleanup(func() {
				_ = k.Close()
				for _, l := range []string{"v0", "v1", "v2"} {
					_ = exec.Command("ip", "link", "delete", l).Run() // not every test has all of them
				}
			})
			for _, l := range links {
				s.AddLink(l)
			}
			return s
		})
	})
}

// subject is the kernel of a network namespace; others use ip(8) and tc(8).
type subject struct {
	*Kernel
	t *testing.T
}

func (s *subject) Meddle(lines ...string) error {
	cmd := exec.Command("tc", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	return cmd.Run()
}

func (s *subject) AddLink(l kerneltest.Link) {
	queues := strconv.Itoa(cmp.Or(l.TxQueues, 4))
	run(s.t, "", "ip", "link", "add", l.Name, "numtxqueues", queues, "type", "veth", "peer", "name", l.Name+"p")
	run(s.t, "", "ip", "link", "set", l.Name, "up")
}

func (s *subject) RemoveLink(name string) { run(s.t, "", "ip", "link", "delete", name) }
