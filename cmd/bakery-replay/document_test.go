package main

import (
	"testing"

	"lqosd/internal/scripts"
)

// TestCommandsAreDocumented compares the commands and their flags with docs/cli.md.
func TestCommandsAreDocumented(t *testing.T) {
	scripts.Documented(t, rootCommand(), "../../docs/cli.md")
}
