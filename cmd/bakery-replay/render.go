package main

import (
	"io"

	"github.com/spf13/cobra"

	"lqosd/bakery"
	"lqosd/eventlog"
	"lqosd/internal/cli"
	"lqosd/replay"
)

func renderCommand() *cobra.Command {
	var at, form, out, link string
	var from uint64
	var exact, replace bool
	cmd := &cobra.Command{
		Use:   "render LOG",
		Short: "Write the tc lines: of every record, or of the tree",
		Long: `Writes tc lines. The command form has the lines of each record in log order, as the daemon
writes them to tc-rust.txt; the state form is the shortest script that builds the tree from
nothing, with exact rates, for tc -batch. A link that isn't there ends tc -batch: --link leaves
the others out. With --replace it also runs on links that are shaped already: all that is on
them goes first.`,
		Example: `  bakery-replay render lqosd-state/eventlog -o tc-rust.txt
  bakery-replay render lqosd-state/eventlog --form state --at 4347 | tc -batch -
  bakery-replay render unix:/run/lqos/bus --form state --link eth1`,
		Args: cli.Args("LOG"),
		RunE: withLog(func(cmd *cobra.Command, s *replay.Source) error {
			if f := replay.Form(form); f != replay.FormCommands && f != replay.FormState {
				return cli.Usagef("--form %q: must be commands or state", form)
			}
			seq, err := moment(cmd.Context(), s, at)
			if err != nil {
				return err
			}
			r := replay.Rendering{From: eventlog.Seq(from), At: seq, Form: replay.Form(form), Link: link, Replace: replace}
			if exact {
				r.Rates = bakery.RatesExact
			}
			return output(cmd, out, func(w io.Writer) error { return s.Render(cmd.Context(), w, r) })
		}),
	}
	fs := cmd.Flags()
	fs.StringVar(&at, "at", "", "up to record or time `SEQ|TIME` (default the end)")
	fs.Uint64Var(&from, "from", 0, "command form: from record `N` on")
	fs.StringVar(&form, "form", string(replay.FormCommands), "`FORM`: commands or state")
	fs.BoolVar(&exact, "exact", false, "exact rates instead of the client's rounded ones")
	fs.BoolVar(&replace, "replace", false, "state form: in place of what the links have")
	fs.StringVar(&link, "link", "", "only the lines of this link, `IF`")
	fs.StringVarP(&out, "output", "o", "", "write to `FILE`")
	return cmd
}
