package eventlog

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

func init() {
	// hold opens the log, appends, says so, and waits to be killed.
	childRoles["hold"] = func(dir string) error {
		l, err := Open(dir, Options{Holder: Holder{Version: "v9", Bus: "/run/x/bus"}})
		if err != nil {
			return err
		}
		if _, err := l.Append(context.Background(), textTx("", "held")); err != nil {
			return err
		}
		fmt.Println("holding")
		select {}
	}
}

func TestSecondOpenerNamesTheHolder(t *testing.T) {
	dir := t.TempDir()
	since := time.Unix(1_700_000_000, 0).UTC()
	l := mustOpen(t, dir, Options{Holder: Holder{PID: 42, Version: "v1", Bus: "/run/lqos/bus", Since: since}})
	_, err := Open(dir, Options{})
	var held *HeldError
	if !errors.As(err, &held) || held.Holder != (Holder{PID: 42, Version: "v1", Bus: "/run/lqos/bus", Since: since}) {
		t.Fatalf("second Open: %v", err)
	}
	for _, want := range []string{"pid 42", "v1", "unix:/run/lqos/bus", "2023-11-14"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
	if _, err := Prune(dir, Policy{}); !errors.As(err, &held) {
		t.Errorf("Prune beside a holder: %v", err)
	}
	mustClose(t, l)
	mustOpen(t, dir, Options{})
}

func TestHolderInAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	cmd := child(t, "hold", dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "holding\n" {
		t.Fatalf("child said %q, %v", line, err)
	}
	var held *HeldError
	if _, err := Open(dir, Options{}); !errors.As(err, &held) || held.Holder.PID != cmd.Process.Pid || held.Holder.Version != "v9" {
		t.Errorf("Open beside a child: %v", err)
	}
	if _, err := OpenReader(dir); !errors.As(err, &held) || held.Holder.Bus != "/run/x/bus" {
		t.Errorf("OpenReader beside a child: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	l := mustOpen(t, dir, Options{}) // the lock went with the process
	if got := collect(t, l.Records(0)); len(got) != 1 || got[0] != "held" {
		t.Errorf("records of the killed holder: %q", got)
	}
}

func TestUnreadableLockStillNamesSomebody(t *testing.T) {
	dir := t.TempDir()
	mustOpen(t, dir, Options{})
	if err := os.WriteFile(dir+"/"+lockName, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	var held *HeldError
	if _, err := Open(dir, Options{}); !errors.As(err, &held) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("Open: %v", err)
	}
}
