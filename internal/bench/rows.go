package main

import "slices"

// Sizes at which growth is measured.
var (
	thousands = []int{1_000, 10_000, 100_000} // commands
	// circuitCounts end below the 65,534 handles that a link has for leaves.
	circuitCounts = []int{1_000, 10_000, 60_000}
	// kernelCounts end where a kernel whose work grows with the square takes a minute.
	kernelCounts = []int{1_000, 10_000, 30_000}
)

// rows are the rows of the table, in its order.
var rows = slices.Concat(appendRows, busRows, clientRows, replayRows, answerRows, kernelRows, memoryRows, planeRows)
