package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/spf13/cobra"

	"lqosd/internal/cli"
	"lqosd/xdp"
)

const detachLong = `Removes the dataplane from the network namespace that it runs in: programs, filters, maps with
their counters, and what is pinned; XPS of the links is what it was. Packets then take the
default classes. The qdiscs stay, as they do when the daemon ends; tc qdisc del dev LINK root
removes them. The log is not touched: the next lqosd serve brings all back.

While a daemon runs it would attach its programs again, so it has to be stopped before.`

func detachCommand() *cobra.Command {
	var config string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "detach",
		Short:   "Remove the dataplane's programs and maps",
		Long:    detachLong,
		Example: "  systemctl stop lqosd && lqosd detach",
		Args:    cli.Args(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, _, err := readConfig(config)
			if err != nil {
				return err
			}
			removed, err := xdp.Detach(planeOptions(s, slog.New(slog.DiscardHandler)))
			if errors.Is(err, xdp.ErrInUse) {
				return fmt.Errorf("%w: stop that daemon first, it would attach everything again", err)
			}
			if errors.Is(err, fs.ErrPermission) {
				return fmt.Errorf("%w: run it as root", err)
			}
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"removed": append([]string{}, removed...)})
			}
			for _, what := range removed {
				fmt.Fprintln(cmd.OutOrStdout(), "removed "+what)
			}
			if len(removed) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "there is nothing of lqosd's dataplane in this network namespace")
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration `FILE` (default /etc/lqos.conf, or built-in defaults where there is none)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
