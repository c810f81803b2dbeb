package kernel

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Execute runs tc(8) with the words of line, which has no "tc" in front. The error has what
// tc said.
func (k *Kernel) Execute(ctx context.Context, line string) error {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "tc", strings.Fields(line)...)
	cmd.Stderr = &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it doesn't outlive us
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		said := strings.Join(strings.Fields(stderr.String()), " ")
		if said == "" {
			return fmt.Errorf("executing tc %s: %w", line, err)
		}
		return fmt.Errorf("executing tc %s: %w: %s", line, err, said)
	}
	return nil
}
