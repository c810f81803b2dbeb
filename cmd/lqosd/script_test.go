package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"lqosd/internal/scripts"
)

var update = flag.Bool("update", false, "write what the commands print into the scripts")

// conf is lqos.conf of every script: all it makes is in the script's directory.
const conf = `lqos_directory = "."
[bridge]
to_internet = "eth0"
to_network = "eth1"
[queues]
default_sqm = "cake diffserv4"
uplink_bandwidth_mbps = 500
downlink_bandwidth_mbps = 1000
override_available_queues = 2
[bakery]
mode = "file"
state_directory = "state"
socket = "bus"
`

// TestScripts runs testdata/script. Beside the commands of testscript there are:
//
//	exits CODE PROGRAM ARG…   run a program that must end with that exit code
//	edit FILE REGEXP TEXT     replace in FILE what matches; \n in TEXT is a new line
//	json FILE PATH VALUE      compare a value in a JSON document (or the last line of several) with VALUE, a regexp
//
// Every script finds the configuration above in lqos.conf. The condition [etc-conf] holds where there is an
// /etc/lqos.conf, [root] for root.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("TZ", "UTC")
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Setenv("PATH", env.Getenv("PATH")+":"+os.Getenv(programsEnv)) // for bakery-replay
			return os.WriteFile(env.WorkDir+"/lqos.conf", []byte(conf), 0o644)
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "root":
				return os.Geteuid() == 0, nil
			case "etc-conf":
				_, err := os.Stat(defaultConfig)
				return err == nil, nil
			}
			return false, fmt.Errorf("unknown condition %s", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": scripts.Exits, "edit": edit, "json": scripts.JSON},
	})
}

func edit(ts *testscript.TestScript, neg bool, args []string) {
	scripts.Usage(ts, neg, len(args) == 3, "edit FILE REGEXP TEXT")
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	text := ts.ReadFile(args[0])
	if !re.MatchString(text) {
		ts.Fatalf("no match of %s", args[1])
	}
	with := strings.ReplaceAll(args[2], `\n`, "\n")
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(re.ReplaceAllString(text, with)), 0o644))
}
