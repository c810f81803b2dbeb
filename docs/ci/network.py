#!/usr/bin/env python3
"""Sends the network that network.json and ShapedDevices.csv of the working directory describe to the daemon at LQOSD_SOCKET.

For plans in CI, without LibreQoS: the same sites, circuits, rates and addresses, but numbers of classes and queues of its
own. They come from the names, so that a small change of the description is a small change of the tree. LibreQoS, which
spreads by load, chooses others. Exit code 1 with the reasons where something is wrong; nothing is taken then.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set, Tuple

# Where PYTHONPATH names no other, the module is that of the checkout which this file is in.
sys.path.append(str(Path(__file__).resolve().parents[2] / "bus" / "python"))

from liblqos_python import Bakery, LqosdError, hash_to_u64  # noqa: E402

Node = Dict[str, Any]


class Numbers:
    """The numbers of classes, of which each queue has its own."""

    def __init__(self, queues: int) -> None:
        """There are so many queues."""
        self.queues = queues
        self.taken: Set[Tuple[int, int]] = set()

    def queue(self, name: str) -> int:
        """Choose the queue of what sits in no other site."""
        return hash_to_u64(name) % self.queues + 1

    def minor(self, queue: int, name: str) -> int:
        """Choose a number that is free: 3 to 0xfffe."""
        at = hash_to_u64(name)
        while (queue, at % 0xFFFC + 3) in self.taken:
            at += 1
        self.taken.add((queue, at % 0xFFFC + 3))
        return at % 0xFFFC + 3


def queues() -> int:
    """Read how many queues lqos.conf asks for; 16 are what a daemon without links has."""
    try:
        with open("lqos.conf", encoding="utf-8") as f:
            found = re.search(r"(?m)^\s*override_available_queues\s*=\s*(\d+)", f.read())
    except FileNotFoundError:
        found = None
    return int(found.group(1)) if found else 16


def circuits() -> Iterator[List[Dict[str, str]]]:
    """Read the circuits of ShapedDevices.csv, each with the rows of its devices."""
    with open("ShapedDevices.csv", encoding="utf-8-sig", newline="") as f:
        rows = csv.DictReader(line for line in f if line.strip() and not line.startswith("#"))
        by_id: Dict[str, List[Dict[str, str]]] = {}
        for row in rows:
            by_id.setdefault(row["Circuit ID"].strip(), []).append(row)
    yield from by_id.values()


def add_sites(bakery: Bakery, numbers: Numbers, nodes: Dict[str, Node], places: Dict[str, Tuple[int, str]], above: str = "", queue: int = 0) -> None:
    """Add sites and what sits in them; places gets the queue and class of each."""
    for name, node in nodes.items():
        major = queue or numbers.queue(name)
        parent = above or "0x%x:" % major
        minor = numbers.minor(major, name)
        down, up = float(node["downloadBandwidthMbps"]), float(node["uploadBandwidthMbps"])
        bakery.add_site(name, parent, parent, minor, down, up, down, up)
        if name in places:
            raise ValueError("network.json: %r is there twice" % name)
        places[name] = (major, "0x%x:0x%x" % (major, minor))
        add_sites(bakery, numbers, node.get("children") or {}, places, places[name][1], major)


def add_circuit(bakery: Bakery, numbers: Numbers, rows: List[Dict[str, str]], places: Dict[str, Tuple[int, str]]) -> None:
    """Add a circuit: with the rates of its first row, and the addresses of all."""
    first = rows[0]
    name, parent = first["Circuit ID"].strip(), first["Parent Node"].strip()
    if parent and parent != "none" and parent not in places:
        raise ValueError("ShapedDevices.csv: circuit %s sits in %r, which network.json doesn't have" % (name, parent))
    major = numbers.queue(name)
    above = "0x%x:" % major
    if parent in places:
        major, above = places[parent]
    addresses = [a.strip() for row in rows for a in (row["IPv4"] + "," + row["IPv6"]).split(",") if a.strip()]
    low_down, low_up, down, up = (float(first[column + " Mbps"]) for column in ("Download Min", "Upload Min", "Download Max", "Upload Max"))
    minor = numbers.minor(major, "circuit " + name)
    bakery.add_circuit(name, parent or None, above, above, minor, low_down, low_up, down, up, major, major, ",".join(addresses))


def main() -> int:
    """Send the network."""
    if len(sys.argv) > 1:
        print(__doc__, end="")
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    bakery, numbers, places = Bakery(), Numbers(queues()), {}  # type: Bakery, Numbers, Dict[str, Tuple[int, str]]
    try:
        bakery.start_batch()
        bakery.setup_mq(numbers.queues, 0)
        with open("network.json", encoding="utf-8") as f:
            add_sites(bakery, numbers, json.load(f), places)
        for rows in circuits():
            add_circuit(bakery, numbers, rows, places)
        bakery.commit()
    except KeyError as e:
        print("network.py: %s is missing" % e, file=sys.stderr)
        return 1
    except (LqosdError, OSError, ValueError) as e:
        print("network.py: %s" % e, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
