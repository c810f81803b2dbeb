package kernel

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/internal/testenv"
)

// wideTree is n classes over 16 queues, each queue's below a class of its own.
func wideTree(n int) []string {
	lines := []string{"qdisc replace dev v0 root handle 7fff: mq"}
	for q := 1; q <= 16; q++ {
		lines = append(lines, fmt.Sprintf("qdisc add dev v0 parent 7fff:%x handle %x: htb default 2", q, q),
			fmt.Sprintf("class add dev v0 parent %x: classid %x:1 htb rate 1gbit quantum 60000", q, q))
	}
	for i := range n {
		q := 1 + i%16
		lines = append(lines, fmt.Sprintf("class add dev v0 parent %x:1 classid %x:%x htb rate 1mbit ceil 20mbit quantum 2500 prio 3", q, q, 3+i/16))
	}
	return lines
}

// inside runs a function on a thread that is in a network namespace of its own, with a link v0
// of 16 queues, until the benchmark ends.
func inside(b *testing.B) func(func()) {
	b.Helper()
	testenv.Need(b, testenv.Root, testenv.Netns, testenv.TC)
	work, done := make(chan func()), make(chan bool)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		for f := range work {
			f()
			done <- true
		}
	}()
	b.Cleanup(func() { close(work) })
	call := func(f func()) { work <- f; <-done }
	call(func() {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			b.Error(err)
			return
		}
		out, err := exec.Command("ip", "link", "add", "v0", "numtxqueues", "16", "numrxqueues", "16", "type", "veth", "peer", "name", "v1").CombinedOutput()
		if err != nil {
			b.Errorf("%v: %s", err, out)
		}
	})
	if b.Failed() {
		b.FailNow()
	}
	return call
}

// tcInside gives tc(8) a script, or words.
func tcInside(b *testing.B, call func(func()), stdin string, args ...string) {
	b.Helper()
	cmd := exec.Command("tc", args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out []byte
	var err error
	call(func() { out, err = cmd.CombinedOutput() })
	if err != nil {
		b.Fatalf("tc %v: %v\n%s", args, err, out)
	}
}

// openInside opens a Kernel; its sockets stay in the namespace.
func openInside(b *testing.B, call func(func())) *Kernel {
	b.Helper()
	var k *Kernel
	var err error
	call(func() { k, err = Open() })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = k.Close() })
	return k
}

// BenchmarkApply builds 5,000 classes over 16 queues, by Apply and by `tc -batch`, in turns,
// and reports how many times as long tc takes.
func BenchmarkApply(b *testing.B) {
	call := inside(b)
	k := openInside(b, call)
	lines := wideTree(5000)
	list := ops(b, lines...)
	script := strings.Join(lines, "\n") + "\n"
	var ours, theirs time.Duration
	for b.Loop() {
		tcInside(b, call, "", "qdisc", "replace", "dev", "v0", "root", "handle", "7ffe:", "pfifo")
		start := time.Now()
		for _, r := range k.Apply(context.Background(), list) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
		ours += time.Since(start)
		tcInside(b, call, "", "qdisc", "replace", "dev", "v0", "root", "handle", "7ffe:", "pfifo")
		start = time.Now()
		tcInside(b, call, script, "-batch", "-")
		theirs += time.Since(start)
	}
	b.ReportMetric(ours.Seconds()*1000/float64(b.N), "ms/Apply")
	b.ReportMetric(theirs.Seconds()*1000/float64(b.N), "ms/tc-batch")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
}

// BenchmarkObserve reads 5,000 classes.
func BenchmarkObserve(b *testing.B) {
	call := inside(b)
	k := openInside(b, call)
	tcInside(b, call, strings.Join(wideTree(5000), "\n")+"\n", "-batch", "-")
	for b.Loop() {
		var err error
		call(func() { _, err = k.Observe(context.Background(), []string{"v0"}, nil) })
		if err != nil {
			b.Fatal(err)
		}
	}
}
