package testenv

import (
	"net"
	"os"
	"testing"
)

// TestHosts makes many hosts: each has a namespace of its own and none has the first thread, and the process keeps its own.
func TestHosts(t *testing.T) {
	InNetns(t, func(t *testing.T) {
		own, err := os.Readlink("/proc/self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{own: true}
		for range 50 {
			h := newHost(t, "one of many")
			var namespace string
			var links []net.Interface
			err := h.Do(func() (err error) {
				if links, err = net.Interfaces(); err == nil {
					namespace, err = os.Readlink("/proc/thread-self/ns/net")
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if seen[namespace] || h.thread == os.Getpid() {
				t.Errorf("thread %d of process %d is in the namespace %s of others", h.thread, os.Getpid(), namespace)
			}
			seen[namespace] = true
			if len(links) != 1 || links[0].Name != "lo" || links[0].Flags&net.FlagUp == 0 {
				t.Errorf("links = %+v, want lo alone, and up", links)
			}
			if out := h.Command(t, "readlink /proc/self/ns/net"); out != namespace+"\n" {
				t.Errorf("a program of the host is in the namespace %s, want %s", out, namespace)
			}
		}
		if now, err := os.Readlink("/proc/self/ns/net"); now != own {
			t.Errorf("the process went to the namespace %s, %v, was in %s", now, err, own)
		}
	})
}
