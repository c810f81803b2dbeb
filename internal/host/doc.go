// Package host reads facts about the machine that lqosd runs on: kernel, CPUs, the queues of links, capabilities, and
// which qdiscs the kernel has.
//
// Every fact is read from a file of procfs, sysfs or /etc below the root of a [Host], at each call anew, so a test can
// describe a host in a few files. Nothing here changes the host. What the facts mean for the tree is decided elsewhere;
// only the rule for the number of queues is here, as [Host.Queues].
package host
