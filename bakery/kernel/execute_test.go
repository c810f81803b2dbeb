package kernel

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"errors"
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
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.kernel.Execute(ctx, "qdisc del dev v0 root"); !errors.Is(err, context.Canceled) {
			t.Errorf("a context that ended: %v", err)
		}
	})
}
