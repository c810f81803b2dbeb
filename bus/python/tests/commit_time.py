"""Commits a network of many circuits, and prints how long that took: for make bench.

    python3 -m tests.commit_time CIRCUITS

The bus is LQOSD_SOCKET. Prints the seconds of collecting and of Bakery.commit().
"""

from __future__ import annotations

import sys
import time

from liblqos_python import Bakery

QUEUES = 16


def main(circuits: int) -> None:
    """Collect and commit, as internal/bench does with the Go client."""
    started = time.perf_counter()
    b = Bakery()
    b.start_batch()
    b.setup_mq(QUEUES, 0)
    for q in range(1, QUEUES + 1):
        b.add_site("site %d" % q, "0x%x:" % q, "0x%x:" % q, 3, 100, 100, 1000, 1000)
    for i in range(circuits):
        q = i % QUEUES + 1
        site, address = "0x%x:0x3" % q, "10.%d.%d.%d" % (i >> 16, i >> 8 & 255, i & 255)
        b.add_circuit("circuit %d" % i, "site %d" % q, site, site, 4 + i // QUEUES, 1, 1, 20, 10, q, q, address)
    collected = time.perf_counter()
    b.commit()
    print("%.3f %.3f" % (collected - started, time.perf_counter() - collected))


if __name__ == "__main__":
    main(int(sys.argv[1]))
