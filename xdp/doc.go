// Package xdp steers packets to classes by the address of the subscriber: it loads BPF programs,
// attaches them to the links of a Layout, and keeps the maps that they go by.
//
//	                      Steer, Steers                            packet
//	reconciler ────────────────────────▶ prefixes ◀─┐                │ XDP: enter_…
//	   settings (epoch, lengths) ─▶ cache ◀─────────┤ find           ▼ address → class, CPU
//	Forget ──────────▲                              ├──────── CPU of the class's queue (cpus)
//	            ┌──────────────────── circuits ◀────┤ count          │
//	Traffic ◀───┘      Status ◀────── counts ◀──────┘                ▼ TCX or clsact: leave_…
//	                                                          skb->priority = class, tx queue
//
// What it guarantees:
//
//   - What is attached stays attached, and works, when the process ends in whatever way: programs,
//     maps and bpf_links are pinned on a bpffs that outlives it, or Status says why not.
//   - Open changes nothing where all is as it should be: no id, no entry. Other programs
//     replace the old ones without a moment in between, and the maps stay; other maps are filled before.
//   - Whenever Open is killed, the next one completes it.
//   - Steer changes what it is told to and nothing else, and when it returns no program goes by
//     what was before.
//   - What belongs to others is left alone: an XDP program that isn't ours is reported, not replaced.
//
// Each network namespace has a directory of pins of its own, see directory. Package bakery declares the
// interface that Plane satisfies, its reconciler calls it. Filters for kernels without TCX are package
// kernel's: package xdp knows no netlink but one question about a link.
package xdp

//go:generate go tool bpf2go -target bpfel -type steer -type prefix -type address -type cached -type traffic -type flow -type control -type count -type verdict_counts -type verdict bpf bpf/steer.c -- -O2 -g -Wall -Wextra -Werror -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
