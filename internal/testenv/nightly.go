package testenv

import "os"

// nightlyEnv set to 1 makes tests that count their tries make ten times as many, or all there are.
const nightlyEnv = "LQOSD_NIGHTLY"

// Nightly tells whether this is the long run, in which tests that count their tries make many more.
func Nightly() bool { return os.Getenv(nightlyEnv) == "1" }

// Tries is how often a test tries what it tries: usual, or nightly in the long run.
func Tries(usual, nightly int) int {
	if Nightly() {
		return nightly
	}
	return usual
}
