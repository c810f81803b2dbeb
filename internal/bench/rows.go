package main

import "slices"

// rows are the rows of the table, in its order.
var rows = slices.Concat(appendRows, busRows, clientRows, replayRows, kernelRows)
