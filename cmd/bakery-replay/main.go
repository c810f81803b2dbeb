// Command bakery-replay reads an event log of lqosd, offline or from the running
// daemon: what was asked when, what the tree was, what differs, whether the log is
// whole. It changes nothing but what prune is told to drop.
//
// This package holds flags and wiring; what it prints comes from package replay.
package main

import (
	"github.com/spf13/cobra"

	"lqosd/internal/cli"
)

// version is set by the linker.
var version = "devel"

const rootLong = `Reads an event log of lqosd.

LOG is the directory STATE/eventlog, a copy of it, or unix:SOCKET for a consistent copy from
the daemon that answers there.`

func main() { cli.Main(rootCommand()) }

func rootCommand() *cobra.Command {
	root := cli.Root("bakery-replay", "Time travel through an event log of lqosd", version)
	root.Long = rootLong
	root.AddCommand(logCommand(), blameCommand(), whoisCommand(), treeCommand(), renderCommand(), diffCommand(), verifyCommand(),
		statsCommand(), copyCommand(), salvageCommand(), pruneCommand(), bisectCommand(),
		exportCommand(), importCommand())
	return root
}
