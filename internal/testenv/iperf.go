package testenv

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Stream is a transfer that iperf3 makes between the internet and a subscriber. All its frames are as long as the MTU allows.
type Stream struct {
	Subscriber netip.Addr
	Upload     bool          // from the subscriber
	UDP        float64       // Mbit/s of payload that are offered; 0 means TCP
	Time       time.Duration // whole seconds; 0 means 4 s
}

// String is "down TCP 203.0.113.1".
func (s Stream) String() string {
	direction, protocol := "down", "TCP"
	if s.Upload {
		direction = "up"
	}
	if s.UDP > 0 {
		protocol = "UDP"
	}
	return direction + " " + protocol + " " + s.Subscriber.String()
}

// frameBytes is the length of the longest frame as qdiscs count it: an MTU of 1500, and the Ethernet header without the
// checksum. A VLAN tag that is beside the packet isn't counted.
const frameBytes = 1500 + 14

// payload is what a full frame carries: 20 or 40 bytes are the IP header, 8 that of UDP, 20 that of TCP with 12 of options for
// the timestamps that Linux sends (RFC 7323).
func (s Stream) payload() int {
	n := 1500 - 40
	if s.Subscriber.Is4() {
		n = 1500 - 20
	}
	if s.UDP > 0 {
		return n - 8
	}
	return n - 20 - 12
}

// Received is what a Stream's receiver counted.
type Received struct {
	Stream
	Intervals []Interval // of half a second; the last is shorter, or idle
}

// Interval is a part of a transfer.
type Interval struct {
	Start, End time.Duration // since the transfer began
	Bytes      int64         // of payload
}

// Goodput is the payload in Mbit/s. The first second, in which TCP starts, doesn't count, nor does what comes after the
// sender has ended.
func (r Received) Goodput() float64 {
	return r.goodput(time.Second, cmp.Or(r.Time, defaultTime))
}

// Rate is Goodput with the headers of the frames: what HTB counts.
func (r Received) Rate() float64 {
	return r.Goodput() * frameBytes / float64(r.payload())
}

// goodput is the payload in Mbit/s of the intervals that are within a time.
func (r Received) goodput(from, to time.Duration) float64 {
	var bits float64
	var span time.Duration
	for _, i := range r.Intervals {
		const slack = 100 * time.Millisecond // the clocks of sender and receiver start at different moments
		if i.Start >= from-slack && i.End <= to+slack {
			bits += float64(i.Bytes) * 8
			span += i.End - i.Start
		}
	}
	if span == 0 {
		return 0
	}
	return bits / span.Seconds() / 1e6
}

const defaultTime = 4 * time.Second

// Transfer makes streams, all at once, and returns what arrived when the last has ended.
func (l *Lab) Transfer(ctx context.Context, streams ...Stream) ([]Received, error) {
	received, errs := make([]Received, len(streams)), make([]error, len(streams))
	var running sync.WaitGroup
	for i, s := range streams {
		running.Go(func() {
			if received[i], errs[i] = l.transfer(ctx, s); errs[i] != nil {
				errs[i] = fmt.Errorf("iperf3 %s: %w", s, errs[i])
			}
		})
	}
	running.Wait()
	return received, errors.Join(errs...)
}

// lastPort is that of the last transfer: servers that haven't quite ended don't disturb others.
var lastPort atomic.Uint32

// transfer makes one stream. The receiver is iperf3's server, for one test.
func (l *Lab) transfer(ctx context.Context, s Stream) (Received, error) {
	span := cmp.Or(s.Time, defaultTime)
	ctx, cancel := context.WithTimeoutCause(ctx, span+30*time.Second, errors.New("it takes half a minute too long"))
	defer cancel()
	from, to := l.Internet, l.Network
	fromAddress, toAddress := internetFor(s.Subscriber), s.Subscriber
	if s.Upload {
		from, to = to, from
		fromAddress, toAddress = toAddress, fromAddress
	}
	port := 5200 + lastPort.Add(1)
	server := iperf(ctx, "--server", "--one-off", "--interval", "0.5", "--bind", toAddress.String(), "--port", fmt.Sprint(port))
	if err := to.Start(server.cmd); err != nil {
		return Received{}, err
	}
	l.beforeOthers(server.cmd.Process.Pid)
	args := []string{"--client", toAddress.String(), "--bind", fromAddress.String(), "--port", fmt.Sprint(port), "--time", fmt.Sprint(int(span.Seconds()))}
	if s.UDP > 0 {
		args = append(args, "--udp", "--length", fmt.Sprint(s.payload()), "--bitrate", strconv.FormatFloat(s.UDP*1e6, 'f', 0, 64))
	}
	client := iperf(ctx, args...)
	clientErr := awaitListener(ctx, server.cmd.Process.Pid, port)
	if clientErr == nil {
		clientErr = from.Start(client.cmd)
		l.beforeOthers(client.cmd.Process.Pid)
	}
	if clientErr == nil {
		_, clientErr = client.wait(ctx)
	}
	if clientErr != nil {
		cancel() // nobody else will come
	}
	report, serverErr := server.wait(ctx)
	return Received{Stream: s, Intervals: report.intervals()}, errors.Join(clientErr, serverErr)
}

// beforeOthers has the host run a process before other work, where the host allows it: a sender that waits for a processor isn't the
// network's fault. Before all other work, in turns: that helps on a busy host, and on an idle one it is the network's own threads
// that wait. The one CPU of a virtual machine is always also the network's.
func (l *Lab) beforeOthers(process int) {
	first := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	if os.Getenv(insideVM) != "" || !l.urgent.Load() || unix.SchedSetAttr(process, &first, 0) != nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, process, -15)
	}
}

// iperfProcess is an iperf3 that prints JSON.
type iperfProcess struct {
	cmd              *exec.Cmd
	output, warnings bytes.Buffer
}

func iperf(ctx context.Context, args ...string) *iperfProcess {
	p := &iperfProcess{cmd: exec.CommandContext(ctx, "iperf3", append([]string{"--json"}, args...)...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.warnings
	return p
}

// iperfReport is the part of iperf3's JSON that we read.
type iperfReport struct {
	Error     string
	Intervals []struct {
		Sum struct {
			Start, End float64 // s
			Bytes      int64
		}
	}
}

func (r iperfReport) intervals() []Interval {
	var list []Interval
	for _, i := range r.Intervals {
		list = append(list, Interval{seconds(i.Sum.Start), seconds(i.Sum.End), i.Sum.Bytes})
	}
	return list
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (p *iperfProcess) wait(ctx context.Context) (iperfReport, error) {
	err := p.cmd.Wait()
	var r iperfReport
	errJSON := json.Unmarshal(p.output.Bytes(), &r)
	switch {
	case r.Error != "":
		return r, fmt.Errorf("%s: %s", strings.TrimPrefix(p.cmd.Args[2], "--"), r.Error)
	case ctx.Err() != nil:
		return r, context.Cause(ctx)
	case errJSON != nil:
		return r, fmt.Errorf("%w; reading its report: %w: %s%s", err, errJSON, &p.output, &p.warnings)
	}
	return r, err
}

// awaitListener waits until a port of a process's namespace has a TCP listener.
func awaitListener(ctx context.Context, process int, port uint32) error {
	listening := fmt.Sprintf(":%04X ", port)
	for {
		for _, table := range []string{"tcp", "tcp6"} { // proc(5), /proc/net/tcp: local address, remote address, state
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", process, table))
			if err != nil {
				return fmt.Errorf("waiting for the server: %w", err)
			}
			for line := range strings.Lines(string(text)) {
				if words := strings.Fields(line); len(words) > 3 && strings.HasSuffix(words[1]+" ", listening) && words[3] == "0A" {
					return nil
				}
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the server: %w", context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}
