package main

import (
	"testing"

	"lqosd/internal/scripts"
	"lqosd/internal/testenv"
)

// TestCommandsAreDocumented compares the commands and their flags with docs/cli.md.
func TestCommandsAreDocumented(t *testing.T) {
	scripts.Documented(t, rootCommand(), "../../docs/cli.md")
}

func TestHelpHasExamples(t *testing.T) { scripts.Helpful(t, rootCommand()) }

func TestManualPages(t *testing.T) {
	pages := scripts.Pages(t, rootCommand(), "8")
	testenv.Need(t, testenv.Mandoc)
	scripts.LintPages(t, pages)
}
