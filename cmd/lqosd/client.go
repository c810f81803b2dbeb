package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"lqosd/bus"
	"lqosd/internal/cli"
)

// defaultSocket is where the bus is unless the configuration says otherwise.
const defaultSocket = "/run/lqos/bus"

func socketFlag(fs *pflag.FlagSet, socket *string) {
	fs.StringVar(socket, "socket", defaultSocket, "`PATH` of the daemon's bus")
}

func dial(ctx context.Context, socket string) (*bus.Client, error) {
	c, err := bus.Dial(ctx, socket, bus.DialOptions{Codec: bus.CBOR})
	if err != nil {
		return nil, cli.NoDaemon(socket, "--socket", errors.Is(err, bus.ErrClosed), err)
	}
	return c, nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func statusCommand() *cobra.Command {
	var socket string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the running daemon holds",
		Long: `Shows what the running daemon holds: mode, log, tree, clients, the kernel's links in apply mode,
and what is wrong with any of it. Exit code 0 also when something is wrong, 1 when no daemon answers.`,
		Example: "  lqosd status --socket lqosd-state/bus\n  lqosd status --json | jq .tree.circuits",
		Args:    cli.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := dial(cmd.Context(), socket)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			if asJSON {
				var s json.RawMessage
				if err := c.Ask(cmd.Context(), bus.Call{Name: "LqosdStatus"}, &s); err != nil {
					return err
				}
				return printJSON(cmd.OutOrStdout(), s)
			}
			var s statusReply
			if err := c.Ask(cmd.Context(), bus.Call{Name: "LqosdStatus"}, &s); err != nil {
				return err
			}
			return s.print(cmd.OutOrStdout())
		},
	}
	socketFlag(cmd.Flags(), &socket)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

const waitLong = `Waits until the daemon answers and a record is durable; with --applied also until it has
reached the kernel or, in file mode, the tc file. Without --seq it is the newest record of
the moment. Exit code 1 when the time is up, and at once where this user may not speak with
the daemon.`

func waitCommand() *cobra.Command {
	var socket string
	var seq uint64
	var applied bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "wait",
		Short:   "Wait until a record is durable, or applied",
		Long:    waitLong,
		Example: "  lqosd wait --applied\n  lqosd wait --seq 4347 --applied --timeout 30s",
		Args:    cli.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return cli.Usagef("--timeout %s: must be above 0", timeout)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			c, err := dialUntil(ctx, socket)
			if err != nil {
				return err
			}
			defer func() { _ = c.Close() }()
			w := waitRequest{Applied: &applied}
			if cmd.Flags().Changed("seq") {
				w.Seq = &seq
			}
			deadline, _ := ctx.Deadline()
			ms := max(time.Until(deadline).Milliseconds(), 1)
			w.TimeoutMS = &ms
			var r waitReply
			if err := c.Ask(cmd.Context(), bus.Call{Name: "LqosdWait", Args: w}, &r); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d\n", r.Seq)
			return err
		},
	}
	socketFlag(cmd.Flags(), &socket)
	cmd.Flags().Uint64Var(&seq, "seq", 0, "the record with number `N` (default the newest)")
	cmd.Flags().BoolVar(&applied, "applied", false, "wait until it has reached the kernel or the tc file")
	cmd.Flags().DurationVar(&timeout, "timeout", 30*time.Second, "give up after this `TIME`")
	return cmd
}

// maxHangUps is how often in a row a daemon may end the connection at once before it is believed: one that ends does so too.
const maxHangUps = 3

// dialUntil keeps trying, for a daemon that is just starting; not where this user may not speak with it.
func dialUntil(ctx context.Context, socket string) (*bus.Client, error) {
	for hungUp := 0; ; {
		c, err := dial(ctx, socket)
		if err == nil {
			return c, nil
		}
		if hungUp++; !errors.Is(err, bus.ErrClosed) {
			hungUp = 0
		}
		if hungUp == maxHangUps || errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// openInput opens a file, or stdin for "-".
func openInput(cmd *cobra.Command, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	return os.Open(name)
}
