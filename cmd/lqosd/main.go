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

func main() { cli.Main(rootCommand()) }

func rootCommand() *cobra.Command {
	root := cli.Root("lqosd", "An event-sourced traffic shaper daemon", version)
	root.AddCommand(serveCommand(), statusCommand(), waitCommand(), sendCommand(), trafficCommand(), doctorCommand(), detachCommand())
	cli.Complete(root, nil)
	return root
}
