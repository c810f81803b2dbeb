package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"lqosd/eventlog"
	"lqosd/internal/cli"
)

const serveLong = `Runs the daemon in the foreground until SIGINT or SIGTERM.

Without --config it reads /etc/lqos.conf; where that doesn't exist either, it starts on
built-in defaults, in file mode, with everything under ./lqosd-state.

Every command is appended durably to the event log before it is acknowledged. In apply mode the
kernel is then brought to what the log asks for, over netlink: it is read, and the difference is
written; what somebody else changes is reported, and undone unless bakery.drift is "report". XDP and
egress programs steer the packets of mapped addresses to their classes, unless bakery.dataplane is
"off". That needs CAP_NET_ADMIN and CAP_BPF; where it can't work, serve says what is missing and
touches nothing (lqosd doctor tells more). In file mode the tc lines go to the tc file, and no
kernel is touched. When the daemon ends the kernel keeps what it has, programs and maps too:
lqosd detach removes those.`

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon",
		Long:  serveLong,
		Example: `  lqosd serve
  lqosd serve --config /etc/lqos.conf --mode file --state-dir /var/lib/lqosd --tc-file /var/lib/lqosd/tc-rust.txt`,
		Args: cli.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := newLogger(os.Stderr, f.logFormat, f.verbose)
			if err != nil {
				return cli.UsageError{Err: err}
			}
			return serve(cmd.Context(), f, log)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.config, "config", "", "configuration `FILE` (default /etc/lqos.conf, or built-in defaults where there is none)")
	fs.StringVar(&f.mode, "mode", "", "`MODE`: file or apply (default from the configuration)")
	fs.StringVar(&f.stateDir, "state-dir", "", "`DIR` of the event log (default from the configuration)")
	fs.StringVar(&f.socket, "socket", "", "`PATH` of the bus (default from the configuration)")
	fs.StringVar(&f.tcFile, "tc-file", "", "`PATH` of the tc lines in file mode (default <lqos_directory>/tc-rust.txt)")
	fs.StringVar(&f.logFormat, "log-format", "text", "`FORMAT` of the log on stderr: text or json")
	fs.BoolVarP(&f.verbose, "verbose", "v", false, "log more")
	return cmd
}

type serveFlags struct {
	config, mode, stateDir, socket, tcFile, logFormat string
	verbose                                           bool

	// openLog opens the event log; nil: eventlog.Open. The daemons of tests have other disks.
	openLog func(dir string, o eventlog.Options) (*eventlog.Log, error)
}

func newLogger(w io.Writer, format string, verbose bool) (*slog.Logger, error) {
	o := &slog.HandlerOptions{}
	if verbose {
		o.Level = slog.LevelDebug
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("--log-format %q: must be text or json", format)
}
