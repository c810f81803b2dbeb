package main

import "lqosd/internal/cli"

// manual is what the manual pages say besides what --help does. LOG is in the root command's.
var manual = cli.Manual{
	Section: 1,
	Exit: map[string][]cli.Term{
		"":       {{Word: "0", Text: "All is well."}, {Word: "1", Text: "An error, which is on stderr."}, {Word: "2", Text: "The command line is wrong."}},
		"diff":   {{Word: "0", Text: "Nothing differs."}, {Word: "1", Text: "Something differs."}, {Word: "2", Text: "Trouble: an error, or a wrong command line."}},
		"verify": {{Word: "0", Text: "The log is whole."}, {Word: "1", Text: "It is damaged."}, {Word: "2", Text: "It could not be checked, or the command line is wrong."}},
		"whois":  {{Word: "0", Text: "Somebody was found."}, {Word: "1", Text: "Nobody, or an error."}, {Word: "2", Text: "The command line is wrong."}},
	},
	Environment: []cli.Term{
		{Word: "PAGER", Text: "What shows output that is longer than the screen, on a terminal (less where it isn't set; none where it is empty or cat)."},
		{Word: "LESS", Text: "Options of less; FRX where it isn't set."},
		{Word: "NO_COLOR", Text: "Not empty: no colour."},
		{Word: "TMPDIR", Text: "Where the copy of a daemon's log (unix:SOCKET) is while it is read."},
		{Word: "TZ", Text: "The time zone of times that are shown, and of those in arguments that don't say theirs."},
	},
	Files: []cli.Term{
		{Word: "/var/lib/lqosd/eventlog", Text: "The log of a daemon whose lqos.conf has no bakery.state_directory."},
		{Word: "lqosd-state/eventlog", Text: "That of a daemon without a configuration."},
		{Word: "/run/lqos/bus", Text: "The daemon's socket: unix:/run/lqos/bus."},
	},
	SeeAlso: []string{"lqosd(8)", "tc(8)"},
}
