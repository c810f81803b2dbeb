package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lqosd/eventlog"
	"lqosd/internal/cli"
)

// completed is what a shell is offered: the words, and what it makes of them.
func completed(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	root := rootCommand()
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	root.SetArgs(append([]string{"__complete"}, args...))
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(out.String()), "\n", " ")
}

// TestCompletion: what ends in ":4" is all there is, ":16" has directories, ":0" files, and ":36" is in that order.
func TestCompletion(t *testing.T) {
	old := cli.CompletionTime
	cli.CompletionTime = time.Minute // this machine may be busy
	defer func() { cli.CompletionTime = old }()
	network, err := os.ReadFile("testdata/network.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "eventlog")
	first11 := strings.Join(strings.SplitAfter(string(network), "\n")[:12], "") // the tree is emptied after them
	if err := writeLog(log, first11); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ args, want string }{
		{"dif", "diff\tTell what differs between two moments or logs, from a file or the kernel :4"},
		{"diff x --forma", "--format\t`FORMAT`: text, json, markdown, junit, sarif, github :4"},
		{"diff x --format ", "text json markdown junit sarif github :36"},
		{"render x --form=", "commands state :36"},
		{"log x --kind Map", "MapIpToFlow :4"},
		{"tree LOG --link ", "eth0 eth1 :4"},
		{"tree STATE --link ", "eth0 eth1 :4"},
		{"tree --link eth1 LOG ", ":4"},
		{"log LOG --circuit ", "Smith & Sons :4"},
		{"log LOG --circuit X", ":4"},
		{"log LOG --site ", "77 :4"},
		{"log LOG --class 1:", "1:1 1:2 1:3 1:4 1:5 :4"},
		{"log LOG --address ", "192.0.2.1/32 2001:db8:7::/56 :4"},
		{"diff LOG --only object=cl", "object=class :4"},
		{"diff unix:bus --only object=cl", "object=class :4"},
		{"diff LOG --ignore site=", "site=77 :4"},
		{"diff LOG --ignore circuit=", "circuit=Smith & Sons :4"},
		{"diff LOG --only link=", "link=eth0 link=eth1 :4"},
		{"plan LOG --against l", "live log :0"},
		{"whois LOG ", "77 Smith & Sons :4"},
		{"whois LOG a ", ":4"},
		{"tree LOG --at ", "now :4"},
		{"log LOG --tail ", ":4"},
		{"tree ", ":16"},
		{"tree un", "unix: :6"},
		{"tree unix:LO", ":6"},
		{"tree unix:STATE/", "unix:STATE/eventlog :6"},
		{"tree unix:LOG --link ", ":4"},
		{"tree nowhere --link ", ":4"},
		{"copy LOG -o ", ":16"},
		{"diff LOG -o ", ":0"},
		{"diff LOG --against ", ":0"},
	} {
		words := strings.Fields(strings.NewReplacer("LOG", log, "STATE", filepath.Dir(log)).Replace(tc.args))
		if strings.HasSuffix(tc.args, " ") {
			words = append(words, "")
		}
		if got := strings.ReplaceAll(completed(t, words...), filepath.Dir(log), "STATE"); got != tc.want {
			t.Errorf("%q: %q, want %q", tc.args, got, tc.want)
		}
	}
}

// TestCompletionOfWhatIsLong: a log that a daemon holds is read as far as that goes, and no longer than a shell may wait.
func TestCompletionOfWhatIsLong(t *testing.T) {
	old := cli.CompletionTime
	defer func() { cli.CompletionTime = old }()
	network, err := os.ReadFile("testdata/network.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := writeLog(dir, string(network)+"\"roll\"\n"); err != nil {
		t.Fatal(err)
	}
	held, err := eventlog.Open(dir, eventlog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	cli.CompletionTime = time.Minute
	if got := completed(t, "tree", dir, "--link", ""); got != "eth0 eth1 :4" {
		t.Errorf("a held log: %q", got)
	}
	cli.CompletionTime = 0
	if got := completed(t, "tree", dir, "--link", ""); got != ":4" {
		t.Errorf("no time: %q", got)
	}
}
