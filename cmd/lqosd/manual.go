package main

import "lqosd/internal/cli"

// manual is what the manual pages say besides what --help does.
var manual = cli.Manual{
	Section: 8,
	Exit: map[string][]cli.Term{
		"":       {{Word: "0", Text: "All is well."}, {Word: "1", Text: "An error, which is on stderr."}, {Word: "2", Text: "The command line is wrong."}},
		"doctor": {{Word: "0", Text: "The mode that the configuration asks for can work."}, {Word: "1", Text: "It can't."}, {Word: "2", Text: "The command line is wrong."}},
		"send":   {{Word: "0", Text: "Every request was answered."}, {Word: "1", Text: "Something was refused, or an error."}, {Word: "2", Text: "The command line is wrong."}},
		"wait":   {{Word: "0", Text: "The record is durable or, with --applied, applied."}, {Word: "1", Text: "The time is up, the kernel refuses something, or an error."}, {Word: "2", Text: "The command line is wrong."}},
	},
	Environment: []cli.Term{
		{Word: "NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, LISTEN_FDS, LISTEN_PID", Text: "What systemd tells lqosd serve: where to say that it is ready and alive, and the socket that it is started with."},
		{Word: "LQOSD_SOCKET, LQOSD_TIMEOUT", Text: "Not for lqosd: the bus, and the patience in seconds, of clients that use its Python module."},
	},
	Files: []cli.Term{
		{Word: "/etc/lqos.conf", Text: "The configuration, LibreQoS's own. The places below are what it says; these are the usual ones."},
		{Word: "/run/lqos/bus", Text: "The socket of the bus."},
		{Word: "/var/lib/lqosd/eventlog", Text: "The event log: see bakery-replay(1)."},
		{Word: "/run/lqosd/bpf, /sys/fs/bpf", Text: "Where programs and maps are pinned, in apply mode."},
		{Word: "LQOS_DIRECTORY/tc-rust.txt", Text: "The tc lines, in file mode."},
		{Word: "lqosd-state", Text: "Holds all of it where there is no configuration."},
	},
	SeeAlso: []string{"bakery-replay(1)", "tc(8)"},
}
