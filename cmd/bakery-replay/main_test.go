package main

import (
	"os"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"lqosd/internal/cli"
)

func TestMain(m *testing.M) {
	// The race detector waits a second at the exit of each process; the scripts start many.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")); err != nil {
		panic(err)
	}
	testscript.Main(m, map[string]func(){"bakery-replay": func() {
		cli.CompletionTime = time.Minute // this machine may be busy
		main()
	}})
}
