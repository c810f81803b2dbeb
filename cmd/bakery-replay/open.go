package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/cli"
	"lqosd/replay"
)

// withLog opens the log that the first argument names, and closes it after use.
func withLog(use func(cmd *cobra.Command, s *replay.Source) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		s, done, err := openLog(cmd, args[0])
		if err != nil {
			return err
		}
		return errors.Join(explainDamage(use(cmd, s)), done())
	}
}

// explainDamage says what to do with a log that is damaged.
func explainDamage(err error) error {
	if errors.Is(err, eventlog.ErrCorrupt) {
		return fmt.Errorf("%w: bakery-replay verify tells where, and salvage makes a log of what stands before", err)
	}
	return err
}

// openLog opens the log that an argument names; done closes it.
func openLog(cmd *cobra.Command, arg string) (s *replay.Source, done func() error, err error) {
	dir, remove, err := localLog(cmd.Context(), cmd.ErrOrStderr(), arg)
	if err != nil {
		return nil, nil, err
	}
	s, err = replay.Open(dir)
	if err != nil {
		return nil, nil, errors.Join(explainHeld(err), remove())
	}
	if s.Held() != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "bakery-replay: only records up to %d: %v\n", s.Last(), explainHeld(s.Held()))
	}
	return s, func() error { return errors.Join(s.Close(), remove()) }, nil
}

// explainHeld says how to read a log that a daemon holds.
func explainHeld(err error) error {
	var held *eventlog.HeldError
	if errors.As(err, &held) && held.Holder.Bus != "" {
		return fmt.Errorf("%w: write that for LOG to read it while the daemon runs", err)
	}
	return err
}

// localLog gives the directory of a log: the argument itself, or a copy fetched
// from a daemon, which done removes.
func localLog(ctx context.Context, diag io.Writer, arg string) (dir string, done func() error, err error) {
	socket, remote := strings.CutPrefix(arg, "unix:")
	if !remote {
		// STATE is taken for STATE/eventlog: the mistake is easy and harmless.
		if inner := filepath.Join(arg, "eventlog"); isDir(inner) {
			arg = inner
		}
		return arg, func() error { return nil }, nil
	}
	tmp, err := os.MkdirTemp("", "bakery-replay-")
	if err != nil {
		return "", nil, err
	}
	done = func() error { return os.RemoveAll(tmp) }
	if err := fetch(ctx, diag, socket, tmp); err != nil {
		return "", nil, errors.Join(err, done())
	}
	return tmp, done, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// fetch copies the daemon's log into dir.
func fetch(ctx context.Context, diag io.Writer, socket, dir string) error {
	c, err := bus.Dial(ctx, socket, bus.DialOptions{Codec: bus.CBOR})
	if err != nil {
		return cli.NoDaemon(socket, "unix:SOCKET", errors.Is(err, bus.ErrClosed), err)
	}
	defer func() { _ = c.Close() }()
	var list struct {
		Files []struct {
			Name string `json:"name"`
			Size int64  `json:"size"`
		} `json:"files"`
	}
	if err := c.Ask(ctx, bus.Call{Name: "LqosdCopy"}, &list); err != nil {
		return err
	}
	var total int64
	for _, f := range list.Files {
		total += f.Size
	}
	bar := cli.NewBar(diag, int(total>>10), "KiB")
	defer bar.End()
	for _, f := range list.Files {
		if f.Name != filepath.Base(f.Name) {
			return fmt.Errorf("the daemon names a file %q", f.Name)
		}
		if err := fetchFile(ctx, c, filepath.Join(dir, f.Name), f.Name, f.Size, bar); err != nil {
			return err
		}
	}
	return nil
}

// pieceSize is how much one request reads, in bytes.
const pieceSize = 1 << 20

func fetchFile(ctx context.Context, c *bus.Client, path, name string, size int64, bar *cli.Bar) (err error) {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	for at := int64(0); at < size; {
		var piece struct {
			Data []byte `json:"data"`
		}
		args := map[string]any{"name": name, "offset": at, "length": pieceSize}
		if err := c.Ask(ctx, bus.Call{Name: "LqosdCopyRead", Args: args}, &piece); err != nil {
			return err
		}
		if len(piece.Data) == 0 {
			return fmt.Errorf("copying %s: it ends at %d of %d bytes", name, at, size)
		}
		if _, err := out.Write(piece.Data); err != nil {
			return err
		}
		at += int64(len(piece.Data))
		bar.Add(len(piece.Data) >> 10)
	}
	return nil
}

// moment resolves a --at, --from or --to; "" is the end of the log.
func moment(ctx context.Context, s *replay.Source, text string) (eventlog.Seq, error) {
	if text == "" {
		return s.Last(), nil
	}
	m, err := replay.ParseMoment(text, time.Now())
	if err != nil {
		return 0, cli.UsageError{Err: err}
	}
	return s.Resolve(ctx, m)
}

// output is the file of -o, or the command's output.
func output(cmd *cobra.Command, path string, write func(io.Writer) error) error {
	if path == "" || path == "-" {
		return write(cmd.OutOrStdout())
	}
	return cli.Create(cmd.Context(), path, write)
}
