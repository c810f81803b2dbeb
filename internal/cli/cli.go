// Package cli is what the commands lqosd and bakery-replay have in common: how errors
// become exit codes, and progress bars.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, as docs/cli.md lists them.
const (
	Error   = 1 // for diff and verify: different, damaged
	Trouble = 2 // usage errors; for diff and verify any error
)

// UsageError is an error of the command line: exit code 2.
type UsageError struct{ Err error }

// Error is the reason.
func (e UsageError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// ExitError ends the command with a code. Without Err nothing more is printed.
type ExitError struct {
	Code int
	Err  error
}

// Error is the reason.
func (e ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

// Unwrap gives the reason.
func (e ExitError) Unwrap() error { return e.Err }

// Quiet is exit code 1 where everything is printed already.
func Quiet() error { return ExitError{Code: Error} }

// Root makes a root command that prints its help when it is called alone.
func Root(name, short, version string) *cobra.Command {
	root := &cobra.Command{
		Use:           name,
		Short:         short,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          helpAlone,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return UsageError{plain(err)} })
	return root
}

// helpAlone is what a command does that has others below it.
func helpAlone(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usagef("unknown command %q", args[0])
	}
	return cmd.Help()
}

// plain says what is wrong with a number or a duration without the words of the function that read it.
func plain(err error) error {
	if said, why, found := strings.Cut(err.Error(), ": time: "); found { // strings alone: time has no type for it
		text := "must be a time like 500ms, 30s or 2m"
		if strings.HasPrefix(why, "missing unit") {
			text = "its unit is missing: write 5s, or 5m"
		}
		return errors.New(said + ": " + text)
	}
	var number *strconv.NumError
	if !errors.As(err, &number) {
		return err
	}
	text := "must be a whole number"
	if errors.Is(number, strconv.ErrRange) {
		text = "out of range"
	}
	return errors.New(strings.Replace(err.Error(), number.Error(), text, 1))
}

// completion makes the command that cobra adds by itself refuse a shell that it doesn't know, as the root does with a command.
func completion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil && c != root {
		c.Args, c.RunE = cobra.ArbitraryArgs, helpAlone
		for _, shell := range c.Commands() {
			shell.Args = Args()
			if shell.Name() == "bash" {
				shell.RunE = func(cmd *cobra.Command, _ []string) error {
					plain, _ := cmd.Flags().GetBool("no-descriptions")
					return writeBash(root, cmd.OutOrStdout(), !plain)
				}
			}
		}
	}
}

// Args wants one argument for each of names, which are what the command's usage calls them.
func Args(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch n := len(names); {
		case len(args) < n:
			return Usagef("%s is missing", strings.Join(names[len(args):], " and "))
		case len(args) > n && n == 0:
			return Usagef("%q: this command takes no argument", args[0])
		case len(args) > n:
			return Usagef("%q: nothing may follow %s", args[n], strings.Join(names, " "))
		}
		return nil
	}
}

// NoDaemon tells why nobody at a socket could be spoken to, and what to do: elsewhere is how another is named.
// hungUp: the daemon is there, and ended the connection at once.
func NoDaemon(socket, elsewhere string, hungUp bool, err error) error {
	switch {
	case errors.Is(err, context.Canceled): // by a signal
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("this user may not open %s (root and the socket's group may: ls -l names it): %w", socket, err)
	case hungUp:
		return fmt.Errorf("the daemon at %s doesn't speak with this user (with root, its own user, bakery.socket_group and bakery.read_group), or has its most connections: %w", socket, err)
	}
	return fmt.Errorf("no answer from a daemon at %s (lqosd serve runs one, %s names another place): %w", socket, elsewhere, err)
}

// Main runs the command until it ends or a signal comes, and exits. A second signal ends the process at once.
func Main(root *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	root.SetOut(output{os.Stdout, ctx.Done()})
	completion(root)
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], cobra.ShellCompRequestCmd) {
		describe(root)
	}
	cmd, err := root.ExecuteContextC(ctx)
	stop()
	os.Exit(report(root.Name(), hint(cmd), err))
}

// hint says how a command is used, or where to read that.
func hint(cmd *cobra.Command) string {
	if cmd.HasSubCommands() {
		return cmd.CommandPath() + " --help lists commands and flags"
	}
	return "usage: " + cmd.UseLine() + "\n" + cmd.CommandPath() + " --help shows how it is used"
}

// report prints an error, after one of usage the hint, and gives the exit code.
func report(name, hint string, err error) int {
	var exit ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(UsageError)):
		fmt.Fprintf(os.Stderr, "%s: %v\n%s\n", name, err, hint)
		return Trouble
	case errors.As(err, &exit):
		if exit.Err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		}
		return exit.Code
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	return Error
}
