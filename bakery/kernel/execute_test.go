package kernel

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestExecute(t *testing.T) {
	inLab(t, func(l lab) {
		if err := l.kernel.Execute(t.Context(), "qdisc add dev v0  root handle 1: htb"); err != nil {
			t.Error(err)
		}
		err := l.kernel.Execute(t.Context(), "qdisc add dev v0 root handle 1: htb")
		var exit *exec.ExitError
		if !errors.As(err, &exit) || !strings.HasSuffix(err.Error(), "Error: Exclusivity flag on, cannot modify.") {
			t.Errorf("error %v", err)
		}
		made := filepath.Join(t.TempDir(), "made")
		for _, line := range []string{"-V; touch " + made, "-V $(touch " + made + ")", "-V `touch " + made + "`", "-V | touch " + made, "-V > " + made, "-V && touch " + made} {
			_ = l.kernel.Execute(t.Context(), line) // no shell: words of tc(8)
			if _, err := os.Stat(made); err == nil {
				t.Errorf("%s: was run by a shell", line)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.kernel.Execute(ctx, "qdisc del dev v0 root"); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that ended: %v", err)
		}
	})
}
