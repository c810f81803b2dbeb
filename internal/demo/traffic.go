package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/bakery/tc"
	"lqosd/internal/golden"
)

// receiveAct and sendAct are the arguments with which the demo starts itself as a subscriber and as a server of his.
const (
	receiveAct = "receive"
	sendAct    = "send"
)

const (
	serverAddress = "100.127.0.1" // on the internet's side; the recorded subscribers are in 100.64.0.0/10, too
	trafficPort   = "5001"
	trafficFor    = 3 * time.Second
)

// steer sends the client's addresses, and traffic for one of them.
func (s *stage) steer(c golden.Case) error {
	heading("The client's addresses, and traffic from a server to one of its subscribers, through a bridge of both links")
	mappings, err := c.Trace("ip-head.jsonl")
	if err != nil {
		return err
	}
	if err := s.sendLines("addresses.jsonl", mappings); err != nil {
		return err
	}
	if err := bridge("eth0", "eth1"); err != nil {
		return err
	}
	who, err := someSubscriber(mappings)
	if err != nil {
		return err
	}
	server, err := newHost("far-eth0", serverAddress)
	if err != nil {
		return err
	}
	defer server.end()
	subscriber, err := newHost("far-eth1", who.address.String())
	if err != nil {
		return err
	}
	defer subscriber.end()
	fmt.Printf("subscriber %s, class %s, ceil %s\n", who.address, who.class, who.ceil)
	before, err := transfer(server, subscriber, who.address)
	if err != nil {
		return err
	}
	fmt.Printf("TCP, %v: %.1f Mbit/s\n", trafficFor, before)
	if limit := who.ceil.Mbps(); before > limit {
		return fmt.Errorf("the subscriber got %.1f Mbit/s, more than its %g", before, limit)
	}
	if err := s.grep(regexp.MustCompile(`^(dataplane| +(eth|packets|prefixes)|mappings) `), "lqosd", "status", "--socket", "bus"); err != nil {
		return err
	}
	if err := s.show(4, "lqosd", "traffic", "--socket", "bus", "--most", "3"); err != nil {
		return err
	}
	s.kill()
	fmt.Println("$ kill -9 lqosd")
	after, err := transfer(server, subscriber, who.address)
	if err != nil {
		return err
	}
	fmt.Printf("TCP, %v, without a daemon: %.1f Mbit/s\n", trafficFor, after)
	if err := s.start(); err != nil {
		return err
	}
	if err := s.inSync(); err != nil {
		return err
	}
	s.kill()
	return s.show(6, "lqosd", "detach", "--config", "lqos.conf")
}

// sendLines sends requests from a file.
func (s *stage) sendLines(file string, requests []golden.Request) error {
	var lines strings.Builder
	for _, r := range requests {
		fmt.Fprintln(&lines, r.JSON())
	}
	if err := os.WriteFile(filepath.Join(s.dir, file), []byte(lines.String()), 0o644); err != nil {
		return err
	}
	return s.show(0, "lqosd", "send", "--socket", "bus", "--wait", "applied", file)
}

// bridge forwards between links.
func bridge(links ...string) error {
	err := ip("link", "add", "br0", "up", "type", "bridge")
	for _, l := range links {
		err = errors.Join(err, ip("link", "set", l, "master", "br0"))
	}
	return err
}

func ip(args ...string) error {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// mappedSubscriber is a circuit with an address.
type mappedSubscriber struct {
	address netip.Addr
	class   tc.Handle
	ceil    tc.Rate
}

// someSubscriber is one with an IPv4 address and a ceil that is soon measured.
func someSubscriber(mappings []golden.Request) (s mappedSubscriber, err error) {
	for _, r := range mappings {
		var m struct {
			Address string `json:"ip_address"`
			Handle  uint32 `json:"tc_handle"`
		}
		if r.Name != "MapIpToFlow" || json.Unmarshal(r.Args, &m) != nil {
			continue
		}
		if s.address, err = netip.ParseAddr(m.Address); err != nil || !s.address.Is4() {
			continue
		}
		s.class = tc.Handle(m.Handle)
		if s.ceil, err = ceilOf(s.class); err != nil {
			return s, err
		}
		if mbps := s.ceil.Mbps(); mbps >= 10 && mbps <= 60 {
			return s, nil
		}
	}
	return s, errors.New("no subscriber with a ceil of 10 to 60 Mbit/s")
}

// ceilOf asks tc(8) for the ceil of a class on eth1.
func ceilOf(class tc.Handle) (tc.Rate, error) {
	out, err := exec.Command("tc", "class", "show", "dev", "eth1", "classid", class.String()).Output()
	if err != nil {
		return 0, fmt.Errorf("asking for class %s: %w", class, err)
	}
	_, rest, _ := strings.Cut(string(out), " ceil ")
	word, _, _ := strings.Cut(rest, " ")
	return tc.ParseRate(word)
}

// host is a network namespace with one link, as long as its process lives.
type host struct{ process *exec.Cmd }

func newHost(link, address string) (h host, err error) {
	h.process = exec.Command("sleep", "600")
	h.process.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if err := h.process.Start(); err != nil {
		return h, err
	}
	err = errors.Join(ip("link", "set", link, "netns", strconv.Itoa(h.process.Process.Pid)),
		h.run("ip", "addr", "add", address+"/10", "dev", link), h.run("ip", "link", "set", link, "up"))
	if err != nil {
		h.end()
	}
	return h, err
}

func (h host) end() {
	_ = h.process.Process.Kill()
	_ = h.process.Wait()
}

// command is one that runs on the host, for half a minute at most.
func (h host) command(name string, args ...string) *exec.Cmd {
	ns := "--net=/proc/" + strconv.Itoa(h.process.Process.Pid) + "/ns/net"
	return exec.Command("timeout", append([]string{"30", "nsenter", ns, name}, args...)...)
}

func (h host) run(name string, args ...string) error {
	if out, err := h.command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// transfer measures what the subscriber receives, in Mbit/s of TCP's payload.
func transfer(server, subscriber host, to netip.Addr) (mbps float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	receiver := subscriber.command(self, receiveAct, to.String())
	var out strings.Builder
	receiver.Stdout, receiver.Stderr = &out, os.Stderr
	if err := receiver.Start(); err != nil {
		return 0, err
	}
	err = server.run(self, sendAct, to.String())
	if err = errors.Join(err, receiver.Wait()); err != nil {
		return 0, err
	}
	return strconv.ParseFloat(strings.TrimSpace(out.String()), 64)
}

// receive takes one connection and prints how fast it was once it was under way.
func receive(address string) error {
	l, err := net.Listen("tcp", net.JoinHostPort(address, trafficPort))
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetReadDeadline(time.Now().Add(trafficFor / 3))
	_, _ = io.Copy(io.Discard, c)
	began := time.Now()
	earlier, err := waiting(c.(*net.TCPConn))
	if err != nil {
		return err
	}
	_ = c.SetReadDeadline(began.Add(2 * trafficFor))
	n, err := io.Copy(io.Discard, c)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, syscall.ECONNRESET) {
		return err
	}
	fmt.Printf("%.2f\n", float64(n-earlier)*8/time.Since(began).Seconds()/1e6)
	return nil
}

// waiting is how many bytes have arrived and weren't read, see tcp(7): those came while this process had no processor.
func waiting(c *net.TCPConn) (n int64, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := raw.Control(func(fd uintptr) {
		var bytes int
		bytes, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ)
		n = int64(bytes)
	})
	return n, errors.Join(cerr, err)
}

// send sends as much as it can.
func send(address string) error {
	var c net.Conn
	var err error
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if c, err = net.DialTimeout("tcp", net.JoinHostPort(address, trafficPort), time.Second); err == nil {
			break
		}
	}
	if err != nil {
		return err
	}
	_ = c.SetDeadline(time.Now().Add(trafficFor))
	data := make([]byte, 64<<10)
	for err == nil {
		_, err = c.Write(data)
	}
	if err := c.(*net.TCPConn).SetLinger(0); err != nil { // what is on its way doesn't count
		return err
	}
	if cerr := c.Close(); !errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.Join(err, cerr)
	}
	return nil
}
