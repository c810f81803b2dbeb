package cli

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

// ErrLeft says that the user has left the pager, and wants to see no more. It is no failure.
var ErrLeft = errors.New("the pager was left")

// pager shows what is written to in.
type pager struct {
	cmd *exec.Cmd
	in  *os.File
}

// pagerCommand is the user's pager, as pagers are chosen everywhere: $PAGER, or else less, which by $LESS or -FRX leaves
// again what fits on the screen, and takes colours. nil: there is none.
func pagerCommand() *exec.Cmd {
	text, set := os.LookupEnv("PAGER")
	if !set {
		if _, err := exec.LookPath("less"); err != nil {
			return nil
		}
		text = "less"
	}
	if text = strings.TrimSpace(text); text == "" || text == "cat" {
		return nil
	}
	cmd := exec.Command("sh", "-c", text)
	if cmd.Env = os.Environ(); os.Getenv("LESS") == "" {
		cmd.Env = append(cmd.Env, "LESS=FRX")
	}
	return cmd
}

func startPager(cmd *exec.Cmd, out *os.File) (*pager, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = r, out, os.Stderr
	err = cmd.Start()
	_ = r.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the pager: %w", err), w.Close())
	}
	return &pager{cmd, w}, nil
}

// wait lets the user read on until he leaves. A Ctrl-C then is the pager's.
func (p *pager) wait() error {
	signal.Ignore(os.Interrupt)
	_ = p.in.Close()
	err := p.cmd.Wait()
	if code := p.cmd.ProcessState.ExitCode(); code == 126 || code == 127 { // of sh
		return fmt.Errorf("the pager %q can't be run: set PAGER, or use --no-pager", p.cmd.Args[len(p.cmd.Args)-1])
	}
	if errors.As(err, new(*exec.ExitError)) { // how it ends is between it and the user
		return nil
	}
	return err
}

// left is what a failed write to a pager means.
func left(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return ErrLeft
	}
	return err
}
