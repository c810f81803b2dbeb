// Package kernel observes and applies Linux traffic control over netlink. It is the only
// package that imports a netlink library.
//
//	                    Observe: RTM_GETQDISC, RTM_GETTCLASS
//	tc.Observed  <────────────────────────────────────────────  ┌────────┐
//	                    Apply: RTM_NEW…, RTM_DEL…, in batches   │ kernel │
//	[]tc.Op      ────────────────────────────────────────────>  │        │
//	[]tc.Result  <────────────────────────────────────────────  │        │
//	                    acks with the kernel's own words        │        │
//	changed(link)<────────────────────────────────────────────  └────────┘
//	                    Watch: RTNLGRP_TC, RTNLGRP_LINK
//
// What it guarantees:
//
//   - What Observe returns is of one moment, and in the form of tc.Canonical: it compares
//     with what is wanted as it is.
//   - Apply gives every Op the answer that the kernel gave to it. An answer that got lost is
//     tc.ErrUnknownOutcome, never a success. No class is sent whose parent couldn't be made:
//     the kernel would hang such a class at the root.
//   - What Apply programs is what tc(8) would have programmed for tc.Op.Line, seen from
//     `tc -d class show` and `tc -d qdisc show`.
//   - Nothing waits for ever: every answer has a deadline, and so has every dump.
//
// Each kind of qdisc has a file with its codec; layouts and constants are those of
// linux/pkt_sched.h. Package bakery declares the interface that Kernel satisfies; its
// reconciler calls it.
package kernel
