package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/internal/golden"
	"lqosd/internal/lqosconf"
)

// kernelAct is the argument with which the demo starts itself in namespaces of its own.
const kernelAct = "in-namespace"

// playKernel plays the acts that need a kernel, in a network namespace that only they see.
func playKernel(bin, data string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "-bin", bin, "-testdata", data, kernelAct)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL}
	return cmd.Run()
}

// actInKernel is the process that playKernel starts.
func actInKernel(bin, data string) (err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mounting sysfs: %w", err)
	}
	s, err := newStage(bin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	defer s.kill()
	s.mode = lqosconf.ModeApply
	network := golden.Case{Name: "n1000", Dir: filepath.Join(data, "n1000")}
	for _, act := range []func(golden.Case) error{s.prepareLinks, s.buildAndKill, s.refresh, s.meddle, s.batch, s.steer} {
		if err := act(network); err != nil {
			return err
		}
	}
	heading("Done: the kernel has what the log says, whatever happened to the daemon and to the kernel")
	return nil
}

// prepareLinks makes two links with the queues that the client's had, and the
// configuration.
func (s *stage) prepareLinks(c golden.Case) error {
	heading("A network namespace of its own, with two links of 16 queues; the real kernel is programmed")
	if exec.Command("tc", "qdisc", "add", "dev", "lo", "root", "cake").Run() == nil {
		_ = exec.Command("tc", "qdisc", "del", "dev", "lo", "root").Run()
	} else {
		s.leaf = "pfifo"
		fmt.Println("(this kernel has no cake: pfifo stands in for it)")
	}
	for _, link := range []string{"eth0", "eth1"} {
		args := []string{"link", "add", link, "numtxqueues", "16", "numrxqueues", "16", "type", "veth", "peer", "name", "far-" + link}
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("making link %s: %w\n%s", link, err, out)
		}
		if out, err := exec.Command("ip", "link", "set", link, "up").CombinedOutput(); err != nil {
			return fmt.Errorf("setting link %s up: %w\n%s", link, err, out)
		}
	}
	return s.configure(c)
}

var cakeWords = regexp.MustCompile(`\bcake\b[^"]*`)

// commands writes what the client sends to a file for lqosd send.
func (s *stage) commands(c golden.Case) error {
	trace, err := c.Trace("trace.jsonl")
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, r := range trace {
		line := r.JSON()
		switch {
		case s.leaf == "":
		case r.Name == "BakeryAddCircuitQdisc":
			line = regexp.MustCompile(`"sqm_params":\s*\[[^]]*\]`).ReplaceAllString(line, `"sqm_params":["`+s.leaf+`"]`)
		default:
			line = cakeWords.ReplaceAllString(line, s.leaf)
		}
		fmt.Fprintln(&lines, line)
	}
	return os.WriteFile(filepath.Join(s.dir, "commands.jsonl"), []byte(lines.String()), 0o644)
}

// buildAndKill kills the daemon once it has acknowledged everything, in the middle of
// building.
func (s *stage) buildAndKill(c golden.Case) error {
	if err := s.commands(c); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	if err := s.show(0, "lqosd", "send", "--socket", "bus", "commands.jsonl"); err != nil {
		return err
	}
	s.kill()
	classes, err := classCount()
	if err != nil {
		return err
	}
	fmt.Printf("$ kill -9 lqosd\nall was acknowledged, and is in the log; the kernel had %d of 2,408 classes then\n", classes)
	if err := s.start(); err != nil {
		return err
	}
	if err := s.show(0, "lqosd", "wait", "--socket", "bus", "--applied"); err != nil {
		return err
	}
	if err := s.show(20, "lqosd", "status", "--socket", "bus"); err != nil {
		return err
	}
	return s.inSync()
}

// classCount counts the htb classes of both links.
func classCount() (n int, err error) {
	for _, link := range []string{"eth0", "eth1"} {
		out, err := exec.Command("tc", "class", "show", "dev", link).Output()
		if err != nil {
			return 0, fmt.Errorf("counting classes: %w", err)
		}
		n += strings.Count(string(out), "class htb ")
	}
	return n, nil
}

// inSync shows that log and kernel are the same.
func (s *stage) inSync() error {
	return s.show(12, "bakery-replay", "diff", "unix:bus", "--live")
}

// refresh sends everything once more, and counts what the kernel is told.
func (s *stage) refresh(golden.Case) error {
	heading("A refresh: the client sends all of it again, teardown included; tc monitor counts the changes")
	changes, stop, err := monitor()
	if err != nil {
		return err
	}
	if err := s.show(0, "lqosd", "send", "--socket", "bus", "--wait", "applied", "commands.jsonl"); err != nil {
		return err
	}
	stop()
	n := changes()
	fmt.Printf("changes of qdiscs and classes that tc monitor saw: %d\n", n)
	if n != 0 {
		return fmt.Errorf("a refresh that changes nothing made %d changes", n)
	}
	return nil
}

// monitor counts the lines of tc monitor from now on, once it has shown that it listens.
func monitor() (count func() int, stop func(), err error) {
	cmd := exec.Command("tc", "monitor")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	lines, ended := make(chan string, 1<<16), make(chan struct{}) // more than a refresh has
	go func() {
		defer close(ended)
		for in := bufio.NewScanner(out); in.Scan(); {
			lines <- in.Text()
		}
	}()
	mark := func(handle string) error {
		_, err := exec.Command("tc", "qdisc", "replace", "dev", "far-eth0", "root", "handle", handle+":", "pfifo").Output()
		return err
	}
	n := 0
	until := func(handle string) {
		timeout := time.After(5 * time.Second)
		for {
			select {
			case l := <-lines:
				switch {
				case strings.Contains(l, " "+handle+": dev far-eth0"):
					return
				case !strings.Contains(l, "far-eth0"):
					n++
				}
			case <-timeout:
				return
			}
		}
	}
	for { // it doesn't say when it begins to listen
		if err := mark("71"); err != nil {
			return nil, nil, err
		}
		select {
		case <-lines:
			stop = func() {
				_ = mark("72")
				until("72")
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
				<-ended
			}
			return func() int { return n }, stop, nil
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// meddle does what others do to a kernel, and shows what the daemon did about it.
func (s *stage) meddle(golden.Case) error {
	heading("Somebody meddles with tc; the daemon sees it within a second, says so, and undoes it")
	leaf, err := someLeaf()
	if err != nil {
		return err
	}
	for _, line := range []string{"tc class change dev eth1 parent PARENT classid LEAF htb rate 1mbit ceil 2mbit prio 3 quantum 1522",
		"tc qdisc del dev eth1 parent LEAF", "tc class add dev eth1 parent 1:1 classid 1:abcd htb rate 5mbit",
		"tc qdisc replace dev eth0 root handle 99: pfifo"} {
		line = strings.NewReplacer("LEAF", leaf[0], "PARENT", leaf[1]).Replace(line)
		fmt.Println("$ " + line)
		words := strings.Fields(line)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", line, err, out)
		}
		time.Sleep(300 * time.Millisecond) // so that each is a report of its own
	}
	time.Sleep(time.Second)
	if err := s.grep(regexp.MustCompile(`^(drift|kernel|PROBLEM) `), "lqosd", "status", "--socket", "bus"); err != nil {
		return err
	}
	return s.inSync()
}

// someLeaf is a circuit's class on eth1, and its parent.
func someLeaf() (pair [2]string, err error) {
	out, err := exec.Command("tc", "class", "show", "dev", "eth1").Output()
	for line := range strings.Lines(string(out)) {
		if w := strings.Fields(line); len(w) > 5 && w[1] == "htb" && w[3] == "parent" && w[5] == "leaf" && !strings.HasSuffix(w[2], ":2") {
			return [2]string{w[2], w[4]}, nil
		}
	}
	return pair, errors.Join(errors.New("no circuit on eth1"), err)
}

// grep runs a command of ours and prints the lines that match.
func (s *stage) grep(match *regexp.Regexp, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Printf("$ %s %s\n", name, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.Stderr = s.dir, io.Writer(os.Stderr)
	out, err := cmd.Output()
	for line := range strings.Lines(string(out)) {
		if match.MatchString(line) {
			fmt.Print(line)
		}
	}
	return err
}
