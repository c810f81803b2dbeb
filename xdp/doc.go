// Package xdp steers packets to classes by the address of the subscriber.
package xdp

//go:generate go tool bpf2go -target bpfel -type steer -type prefix -type address -type cached -type traffic -type flow -type control -type count -type verdict_counts -type verdict bpf bpf/steer.c -- -O2 -g -Wall -Wextra -Werror -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
