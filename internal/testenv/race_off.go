//go:build !race

package testenv

// raceDetector says whether this binary has the race detector.
const raceDetector = false
