// Command demo shows lqosd at work: it plays a real client's network over the bus,
// shows what comes out, kills the daemon in the middle of a bigger one, and proves
// from the log that nothing is missing. As root it does so with a real kernel first, in
// a network namespace, and meddles with it; the rest is file mode. make demo runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"lqosd/bus"
	"lqosd/internal/cli"
	"lqosd/internal/golden"
	"lqosd/internal/lqosconf"
)

func main() {
	bin := flag.String("bin", "bin", "`DIR` of lqosd and bakery-replay")
	data := flag.String("testdata", "testdata/golden", "`DIR` of the recordings")
	keep := flag.Bool("keep", false, "keep the scratch directory")
	flag.Parse()
	err := errors.New("the demo takes no arguments")
	switch {
	case flag.Arg(0) == kernelAct:
		err = actInKernel(*bin, *data)
	case flag.Arg(0) == receiveAct && flag.NArg() == 2:
		err = receive(flag.Arg(1))
	case flag.Arg(0) == sendAct && flag.NArg() == 2:
		err = send(flag.Arg(1))
	case flag.NArg() == 0:
		err = run(*bin, *data, *keep)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// stage is where the demo plays.
type stage struct {
	dir, bin, conf, socket string
	mode                   string
	leaf                   string // stands in for every cake; "" where the kernel has it
	daemon                 *exec.Cmd
}

func newStage(bin string) (*stage, error) {
	dir, err := os.MkdirTemp("", "lqosd-demo-")
	if err != nil {
		return nil, err
	}
	if bin, err = filepath.Abs(bin); err != nil {
		return nil, err
	}
	return &stage{dir: dir, bin: bin, conf: filepath.Join(dir, "lqos.conf"), socket: filepath.Join(dir, "bus"), mode: lqosconf.ModeFile}, nil
}

func run(bin, data string, keep bool) (err error) {
	if os.Geteuid() == 0 {
		if err := playKernel(bin, data); err != nil {
			return err
		}
	} else {
		fmt.Println("(not root: file mode only. As root the demo programs a kernel, too, in a network namespace)")
	}
	s, err := newStage(bin)
	if err != nil {
		return err
	}
	if keep {
		defer fmt.Printf("\nEverything is in %s\n", s.dir)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	}
	defer s.kill()
	example := golden.Case{Name: "example", Dir: filepath.Join(data, "example")}
	big := golden.Case{Name: "n1000", Dir: filepath.Join(data, "n1000")}
	for _, act := range []func() error{
		func() error { return s.playExample(example) },
		func() error { return s.showExample(example) },
		func() error { return s.killInTheMiddle(big) },
		s.prove,
	} {
		if err := act(); err != nil {
			return err
		}
	}
	return nil
}

func heading(format string, args ...any) {
	bold, plain := "\x1b[1m", "\x1b[0m"
	if os.Getenv("NO_COLOR") != "" || !term.IsTerminal(int(os.Stdout.Fd())) {
		bold, plain = "", ""
	}
	fmt.Printf("\n%s── %s%s\n", bold, fmt.Sprintf(format, args...), plain)
}

// playExample starts the daemon on the client's configuration and sends what the
// client sent.
func (s *stage) playExample(c golden.Case) error {
	heading("File mode: no kernel is touched. A real client's example network is sent to the daemon")
	if err := s.configure(c); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	trace, err := c.Trace("trace.jsonl")
	if err != nil {
		return err
	}
	mappings, err := c.Trace("ip.jsonl")
	if err != nil {
		return err
	}
	var lines strings.Builder
	for _, r := range append(trace, mappings...) {
		fmt.Fprintln(&lines, r.JSON())
	}
	if err := os.WriteFile(filepath.Join(s.dir, "commands.jsonl"), []byte(lines.String()), 0o644); err != nil {
		return err
	}
	return s.show(0, "lqosd", "send", "--socket", "bus", "--wait", "applied", "commands.jsonl")
}

// configure writes the client's configuration; a running daemon reads it again at
// the next MqSetup.
func (s *stage) configure(c golden.Case) error {
	conf, err := c.Config(s.dir)
	if err != nil {
		return err
	}
	conf.Bakery.Mode = s.mode
	if s.leaf != "" {
		conf.Queues.DefaultSQM = s.leaf
	}
	text, err := conf.TOML()
	if err != nil {
		return err
	}
	return os.WriteFile(s.conf, text, 0o644)
}

func (s *stage) showExample(c golden.Case) error {
	heading("What came out of it")
	if err := s.show(14, "lqosd", "status", "--socket", "bus"); err != nil {
		return err
	}
	if err := s.show(24, "bakery-replay", "tree", "unix:bus", "--link", "eth1"); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "tc-rust.txt"))
	if err != nil {
		return err
	}
	fmt.Printf("$ head -6 tc-rust.txt\n%s", firstLines(string(text), 6))
	if err := c.Check(string(text)); err != nil {
		return fmt.Errorf("tc-rust.txt isn't what the client computed: %w", err)
	}
	fmt.Printf("tc-rust.txt is, line for line, what the client computed itself (%s/linux_tc.txt)\n", c.Name)
	return nil
}

// killInTheMiddle sends a bigger network, one request a session, and kills the
// daemon half way; then it starts it again and goes on where the answers ended.
func (s *stage) killInTheMiddle(c golden.Case) error {
	trace, err := c.Trace("trace.jsonl")
	if err != nil {
		return err
	}
	heading("A network of 1,000 circuits, %d requests; half way the daemon gets SIGKILL", len(trace))
	if err := s.configure(c); err != nil {
		return err
	}
	before, err := s.lastSeq()
	if err != nil {
		return err
	}
	acked, err := s.send(trace, len(trace)/2)
	if err != nil {
		return err
	}
	fmt.Printf("killed: %d requests were acknowledged before\n", acked)
	if err := s.start(); err != nil {
		return err
	}
	inLog, err := s.lastSeq()
	if err != nil {
		return err
	}
	held := int(inLog - before)
	if held < acked {
		return fmt.Errorf("the log ends at record %d: acknowledged requests are missing", inLog)
	}
	fmt.Printf("restarted: the log holds %d requests, those %d and %d whose answer got lost\n", held, acked, held-acked)
	rest, err := s.send(trace[held:], -1)
	if err != nil {
		return err
	}
	end, err := s.lastSeq()
	if err != nil {
		return err
	}
	if end != before+uint64(len(trace)) {
		return fmt.Errorf("the log ends at record %d, not at %d", end, before+uint64(len(trace)))
	}
	fmt.Printf("went on: %d more were acknowledged; every request is in the log, once\n", rest)
	return nil
}

// send sends requests in sessions of one, several on their way, and kills the daemon
// once killAt were answered; -1: never. It counts the acknowledged ones.
func (s *stage) send(trace []golden.Request, killAt int) (acked int, err error) {
	ctx := context.Background()
	c, err := bus.Dial(ctx, s.socket, bus.DialOptions{Codec: bus.CBOR})
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	bar := cli.NewBar(os.Stderr, len(trace), "requests")
	defer bar.End()
	futures := make(chan *bus.Future, 64)
	go func() {
		defer close(futures)
		for _, r := range trace {
			call := bus.Call{Name: r.Name}
			if r.Args != nil {
				call.Args = r.Args
			}
			futures <- c.Go(call)
		}
	}()
	for f := range futures {
		if err != nil {
			continue // only let the sender end
		}
		replies, waitErr := f.Wait(ctx)
		switch {
		case waitErr != nil && killAt >= 0 && acked >= killAt:
		case waitErr != nil:
			err = waitErr
		case !replies[0].IsAck():
			err = fmt.Errorf("after %d requests: %w", acked, replies[0].Err())
		default:
			acked++
			bar.Add(1)
			if acked == killAt {
				s.kill()
			}
		}
	}
	return acked, err
}

func (s *stage) prove() error {
	heading("What the log says, offline")
	s.kill()
	for _, args := range [][]string{
		{"verify", "state/eventlog"},
		{"log", "state/eventlog", "--from", "98", "--to", "102"},
		{"diff", "state/eventlog", "--from", "0", "--to", "3"},
		{"diff", "state/eventlog", "--against", "linux_tc.txt"},
	} {
		if args[0] == "diff" && args[2] == "--against" {
			if err := s.bringExpectation(); err != nil {
				return err
			}
		}
		if err := s.show(12, "bakery-replay", args...); err != nil {
			return err
		}
	}
	heading("Done: nothing that was acknowledged is missing")
	return nil
}

// bringExpectation puts the bigger network, as its client computed it, beside the log.
func (s *stage) bringExpectation() error {
	big := golden.Case{Name: "n1000", Dir: filepath.Join(flag.Lookup("testdata").Value.String(), "n1000")}
	text, err := big.Lines()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.dir, "linux_tc.txt"), []byte(text), 0o644)
}

// start starts the daemon and waits until it answers.
func (s *stage) start() error {
	fmt.Printf("$ lqosd serve --config lqos.conf --mode %s &\n", s.mode)
	log, err := os.OpenFile(filepath.Join(s.dir, "lqosd.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	s.daemon = exec.Command(filepath.Join(s.bin, "lqosd"), "serve", "--config", s.conf, "--mode", s.mode)
	s.daemon.Dir, s.daemon.Stderr = s.dir, log
	if err := s.daemon.Start(); err != nil {
		return err
	}
	if out, err := exec.Command(filepath.Join(s.bin, "lqosd"), "wait", "--socket", s.socket, "--timeout", "2m").CombinedOutput(); err != nil {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("the daemon doesn't answer: %s\n%s", out, text)
	}
	return nil
}

// kill ends the daemon with SIGKILL.
func (s *stage) kill() {
	if s.daemon != nil {
		_ = s.daemon.Process.Kill()
		_ = s.daemon.Wait()
		s.daemon = nil
	}
}

func (s *stage) lastSeq() (uint64, error) {
	out, err := exec.Command(filepath.Join(s.bin, "lqosd"), "wait", "--socket", s.socket).Output()
	if err != nil {
		return 0, err
	}
	var seq uint64
	_, err = fmt.Sscan(string(out), &seq)
	return seq, err
}

// show runs a command of ours in the scratch directory and prints it and its first
// lines; 0 prints all. Exit code 1 of diff only means "different".
func (s *stage) show(most int, name string, args ...string) error {
	fmt.Printf("$ %s %s\n", name, strings.Join(args, " "))
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(os.Stderr)
	err := cmd.Run()
	fmt.Print(firstLines(out.String(), most))
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 && args[0] == "diff" {
		return nil
	}
	return err
}

// firstLines cuts a text after most lines, and says so; 0 cuts nothing.
func firstLines(text string, most int) string {
	lines := strings.SplitAfter(text, "\n")
	if most == 0 || len(lines) <= most+1 {
		return text
	}
	return strings.Join(lines[:most], "") + fmt.Sprintf("… (%d more lines)\n", len(lines)-most-1)
}
