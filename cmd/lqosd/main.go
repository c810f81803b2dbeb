// Command lqosd is the shaping daemon, and the tools that talk to it.
//
//	lqosd serve    checks → XDP → bakery → bus, until a signal ends it
//	lqosd status   what the running daemon holds
//	lqosd wait     until a record is durable, or applied
//	lqosd send     requests from a file to the daemon
//	lqosd doctor   what this host has and lacks
//
// This package holds flags, signals and wiring: what a request means is in package
// bakery, how it travels in package bus.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "devel"

// Exit codes, as docs/cli.md lists them.
const (
	exitError = 1
	exitUsage = 2
)

// usageError is an error of the command line.
type usageError struct{ error }

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := rootCommand().ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(usageError)):
		fmt.Fprintf(os.Stderr, "lqosd: %v\nlqosd --help lists commands and flags\n", err)
		return exitUsage
	case errors.Is(err, errQuiet):
		return exitError
	}
	fmt.Fprintf(os.Stderr, "lqosd: %v\n", err)
	return exitError
}

// errQuiet is an exit code 1 whose reason is printed already.
var errQuiet = errors.New("")

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "lqosd",
		Short:         "An event-sourced traffic shaper daemon",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q", args[0])}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(serveCommand(), statusCommand(), waitCommand(), sendCommand(), doctorCommand())
	return root
}

// usage makes the errors of an argument check errors of usage.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}
