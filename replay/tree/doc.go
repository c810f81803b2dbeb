// Package tree shows one tree: its queues and classes below each other, how much of each is sold, and
// whose a class is.
package tree
