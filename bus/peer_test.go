package bus

import (
	"net"
	"os"
	"syscall"
	"testing"
)

// The peer is this process, with as many groups as it may have: more than the first guess has room for, if it is root.
func TestPeer(t *testing.T) {
	old, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	many := make([]int, 100)
	for i := range many {
		many[i] = 5000 + i
	}
	if syscall.Setgroups(many) == nil {
		defer func() { _ = syscall.Setgroups(old) }()
	}
	peers := make(chan Peer, 1)
	s := serve(t, Options{Accept: func(p Peer) (Conn, error) { peers <- p; return newHandler(ackAll), nil }})
	dial(t, s, CBOR)
	got := <-peers
	if int(got.PID) != os.Getpid() || int(got.UID) != os.Getuid() || int(got.GID) != os.Getgid() {
		t.Errorf("got %+v", got)
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != len(got.Groups) {
		t.Errorf("groups: got %v, want %v", got.Groups, groups)
	}
	for _, g := range groups {
		if !got.In(uint32(g)) {
			t.Errorf("not in group %d", g)
		}
	}
	if !got.In(got.GID) || got.In(4_000_000_000) {
		t.Error("In is wrong")
	}
}

func TestPeerNeedsAUnixSocket(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	if _, err := peerOf(server); err == nil {
		t.Error("a pipe has no peer")
	}
}
