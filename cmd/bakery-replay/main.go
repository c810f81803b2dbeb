// Command bakery-replay reads an event log of lqosd, offline or from the running
// daemon: what was asked when, what the tree was, what differs, whether the log is
// whole. It changes nothing but what prune is told to drop.
//
// This package holds flags and wiring; what it prints comes from package replay.
package main

import (
	"github.com/spf13/cobra"

	"lqosd/eventlog"
	"lqosd/internal/cli"
)

// version is set by the linker.
var version = "devel"

const rootLong = `Reads an event log of lqosd.

LOG is the directory STATE/eventlog, a copy of it, or unix:SOCKET for a consistent copy from
the daemon that answers there.`

const rootExample = `  bakery-replay log unix:/run/lqos/bus --since 2h
  bakery-replay diff lqosd-state/eventlog --from "yesterday 14:00" --to now
  bakery-replay verify lqosd-state/eventlog`

func main() {
	cli.CollectLess()
	cli.Main(rootCommand())
}

func rootCommand() *cobra.Command {
	root := cli.Root("bakery-replay", "Time travel through an event log of lqosd", version)
	root.Long = rootLong
	root.Example = rootExample
	root.AddCommand(logCommand(), blameCommand(), whoisCommand(), treeCommand(), renderCommand(), diffCommand(), verifyCommand(),
		statsCommand(), copyCommand(), salvageCommand(), pruneCommand(), bisectCommand(), planCommand(), reportCommand(),
		exportCommand(), importCommand())
	root.AddCommand(manual.Command(root))
	cli.Screen{Watch: eventlog.WithProgress, Paged: []string{"log", "tree", "diff", "blame", "stats", "plan"}}.Equip(root)
	cli.Complete(root, completions)
	return root
}
