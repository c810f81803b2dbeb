// Command lqosd is the shaping daemon, and the tools that talk to it.
//
//	lqosd serve    checks → XDP → bakery → bus, until a signal ends it
//	lqosd status   what the running daemon holds
//	lqosd wait     until a record is durable, or applied
//	lqosd send     requests from a file to the daemon
//	lqosd traffic  what each circuit sent and got
//	lqosd detach   remove the dataplane
//	lqosd doctor   what this host has and lacks
//
// This package holds flags, signals and wiring: what a request means is in package
// bakery, how it travels in package bus.
package main

import (
	"github.com/spf13/cobra"

	"lqosd/internal/cli"
)

// version is set by the linker.
var version = "devel"

const rootLong = `Shapes the subscribers of an internet provider as its clients ask for over a local socket, in the
protocol of LibreQoS. Every command is durable in an event log before it is acknowledged, and before
anything is done with it. bakery-replay reads that log.`

const rootExample = `  lqosd serve --config /etc/lqos.conf
  lqosd wait --applied && lqosd status`

func main() { cli.Main(rootCommand()) }

func rootCommand() *cobra.Command {
	root := cli.Root("lqosd", "An event-sourced traffic shaper daemon", version)
	root.Long = rootLong
	root.Example = rootExample
	root.AddCommand(serveCommand(), statusCommand(), waitCommand(), sendCommand(), trafficCommand(), doctorCommand(), detachCommand())
	root.AddCommand(manual.Command(root))
	cli.Complete(root, nil)
	return root
}
