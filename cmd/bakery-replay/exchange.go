package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"lqosd/internal/cli"
	"lqosd/replay"
)

const exportLong = `Writes the records as lines of JSON, one record a line, from which import makes a log that has
the same: the bytes of each record, and the tree at every moment. Where the log doesn't begin
at record 1, or --from says otherwise, the first line holds the snapshot before. A record that
JSON can't hold exactly (text that is no UTF-8, a newer version's) is carried as its bytes, in
base64.`

func exportCommand() *cobra.Command {
	var out, from, to string
	cmd := &cobra.Command{
		Use:   "export LOG",
		Short: "Write the records as lines of JSON, loss-free",
		Long:  exportLong,
		Example: `  bakery-replay export lqosd-state/eventlog -o log.jsonl
  bakery-replay export unix:/run/lqos/bus --from "yesterday 14:00" | zstd > log.jsonl.zst`,
		Args: cli.Args("LOG"),
		RunE: withLog(func(cmd *cobra.Command, s *replay.Source) error { return export(cmd, s, out, from, to) }),
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`, not to stdout")
	cmd.Flags().StringVar(&from, "from", "", "from this record on, or what comes after this time, `SEQ|TIME`")
	cmd.Flags().StringVar(&to, "to", "", "up to this record or time, `SEQ|TIME`")
	return cmd
}

func export(cmd *cobra.Command, s *replay.Source, path, fromText, toText string) error {
	from, since, err := end(fromText, "from")
	if err != nil {
		return err
	}
	if !since.IsZero() {
		if from, err = s.SeqAt(cmd.Context(), since); err != nil {
			return err
		}
		from++
	}
	to, err := moment(cmd.Context(), s, toText)
	if err != nil {
		return err
	}
	bar := cli.NewBar(cmd.ErrOrStderr(), int(to+1-max(from, s.First())), "records")
	defer bar.End()
	return output(cmd, path, func(w io.Writer) error {
		buffered := bufio.NewWriterSize(w, 1<<16)
		err := s.Export(cmd.Context(), buffered, from, to, bar.Add)
		if flushed := buffered.Flush(); err == nil { // what stands before a damaged record is good
			err = flushed
		}
		return err
	})
}

const importLong = `Makes a log of lines of JSON, as export writes them, or as somebody changed or made them. It
takes only what a log can hold: records without a gap between them, each of which can be folded
into what is there before it. What is wrong is named with its line, and nothing is made then.
DIR must not exist, and appears whole or not at all.`

func importCommand() *cobra.Command {
	var out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Make a log of lines of JSON",
		Long:  importLong,
		Example: `  bakery-replay import log.jsonl -o eventlog.imported
  bakery-replay export unix:/run/lqos/bus | ssh lab bakery-replay import - -o eventlog`,
		Args: cli.Args("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return cli.Usagef("import needs -o DIR")
			}
			return importLog(cmd, args[0], out, asJSON)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "the new `DIR`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func importLog(cmd *cobra.Command, path, dir string, asJSON bool) (err error) {
	in, total := cmd.InOrStdin(), int64(0)
	if path != "-" {
		f, err := cli.Interruptible(cmd.Context(), func() (*os.File, error) { return os.Open(path) })
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		if info, err := f.Stat(); err == nil {
			total = info.Size()
		}
		in = f
	}
	o := replay.ImportOptions{}
	if total > 0 {
		bar := cli.NewBar(cmd.ErrOrStderr(), int(total), "bytes")
		defer bar.End()
		o.Progress = bar.Add
	}
	done, err := replay.Import(cmd.Context(), patientReader{cmd.Context(), in}, dir, o)
	if err != nil {
		return fmt.Errorf("importing %s: %w", path, err)
	}
	if asJSON {
		return encodeIndented(cmd.OutOrStdout(), done)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "imported: %s, in %s\n", replay.Span(done.Records, done.First, done.Last), dir)
	return err
}

// patientReader reads what may not come for long, as from a pipe, until the command is interrupted.
type patientReader struct {
	ctx context.Context
	r   io.Reader
}

// Read reads into a buffer of its own: the read may outlast this call.
func (p patientReader) Read(b []byte) (int, error) {
	part, err := cli.Interruptible(p.ctx, func() ([]byte, error) {
		own := make([]byte, min(len(b), 64<<10))
		n, err := p.r.Read(own)
		return own[:n], err
	})
	return copy(b, part), err
}
