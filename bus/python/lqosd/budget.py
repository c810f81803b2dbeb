"""An estimate of the qdiscs and of the memory that a batch takes, before it is committed.

Qdiscs. A link has the root mq, per queue an htb with the leaves of its root and default class, and per circuit a leaf
in each direction that the link carries. hard_limit is how many majors there are for qdisc handles on a link, 1 to
0xfffe (0xffff is ingress and root: linux/pkt_sched.h); safe_budget leaves some of them to others.

Memory. A cake of Linux 6.1 takes 8 tins of 1,024 queues, some 900 KiB (net/sched/sch_cake.c: cake_init), an fq_codel
1,024 flows, some 72 KiB (net/sched/sch_fq_codel.c: fq_codel_init). What the kernel holds already is not counted again: a
refresh builds nothing anew. In file mode no kernel holds anything, and memory_ok is true.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from lqosd.bus import Connection, Request

HARD_LIMIT = 0xFFFE
SAFE_BUDGET = 60000
CAKE_BYTES = 900 << 10
FQ_CODEL_BYTES = 72 << 10
OTHER_BYTES = 4 << 10
GUARD_BYTES = 512 << 20


@dataclass
class Facts:
    """What is known of the daemon and its host. What isn't known has the value that it starts with."""

    applies: bool = True  # to a kernel
    links: List[str] = field(default_factory=list)  # towards the subscribers, towards the internet; one on a stick
    default_sqm: str = "cake"
    fast_fq_codel_mbps: float = 1000
    lqos_directory: str = ""
    qdiscs_there: int = 0


def ask_facts(connection: Connection) -> Facts:
    """Ask the daemon, and read its configuration where this process may."""
    answer = connection.ask("LqosdStatus")
    status = answer.get("LqosdStatus") if isinstance(answer, Mapping) else None
    facts = Facts()
    if not isinstance(status, Mapping):
        return facts
    facts.applies = status.get("mode") != "file"
    kernel = status.get("kernel")
    links = kernel.get("links") if isinstance(kernel, Mapping) else None
    for link in links if isinstance(links, list) else []:
        count = link.get("qdiscs") if isinstance(link, Mapping) else None
        facts.qdiscs_there += count if isinstance(count, int) else 0
    config = status.get("config")
    if isinstance(config, str) and config.startswith("/"):
        read_config(config, facts)
    return facts


_LINE = re.compile(r"""^\s*(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([0-9._+-]+))""", re.MULTILINE)


def read_config(path: str, facts: Facts) -> None:
    """Take from lqos.conf what it has in plain lines; a file that can't be read changes nothing."""
    if not os.path.isfile(path):  # opening a FIFO waits for who writes it
        return
    try:
        with open(path, encoding="utf-8") as f:
            text = f.read(1 << 20)
    except (OSError, ValueError):
        return
    found = {m.group(1): m.group(2) or m.group(3) or m.group(4) or "" for m in _LINE.finditer(text)}
    if "interface" in found:
        facts.links = [found["interface"]]
    elif "to_network" in found and "to_internet" in found:
        facts.links = [found["to_network"], found["to_internet"]]
    facts.lqos_directory = found.get("lqos_directory", "")
    facts.default_sqm = found.get("default_sqm", facts.default_sqm)
    try:
        facts.fast_fq_codel_mbps = float(found["fast_queues_fq_codel"])
    except (KeyError, ValueError):
        pass


@dataclass
class _Count:
    """The qdiscs of one link."""

    infra: int = 0
    cake: int = 0
    fq_codel: int = 0
    other: int = 0

    def add_leaf(self, words: str) -> None:
        kind = words.split()[0] if words.split() else ""
        if kind == "cake":
            self.cake += 1
        elif kind == "fq_codel":
            self.fq_codel += 1
        elif kind != "none":
            self.other += 1

    def detail(self) -> Dict[str, int]:
        memory = self.cake * CAKE_BYTES + self.fq_codel * FQ_CODEL_BYTES + (self.infra + self.other) * OTHER_BYTES
        return {
            "planned_qdiscs": self.infra + self.cake + self.fq_codel + self.other,
            "infra_qdiscs": self.infra,
            "cake_qdiscs": self.cake,
            "fq_codel_qdiscs": self.fq_codel,
            "estimated_memory_bytes": memory,
        }


def _leaves(fields: Mapping[str, Any], facts: Facts) -> Tuple[str, str]:
    """Give the leaf qdiscs of a circuit, towards the subscriber and towards the internet."""
    override = str(fields.get("sqm_override") or "").lower()
    down, slash, up = override.partition("/")
    words = [down.strip(), (up if slash else down).strip()]
    for i, direction in enumerate(("download", "upload")):
        fast = facts.default_sqm.split()[:1] == ["cake"] and fields[direction + "_bandwidth_max"] >= facts.fast_fq_codel_mbps
        words[i] = words[i] or ("fq_codel" if fast else facts.default_sqm)
    return words[0], words[1]


def estimate(queue: Sequence[Request], facts: Facts) -> Dict[str, Any]:
    """Estimate a queue of requests of the second generation.

    The result has ok and why (message, summary), interfaces (link to number of qdiscs), interface_details, safe_budget
    and hard_limit per link, and the memory in bytes: estimated_total_memory_bytes, memory_available_bytes and
    memory_total_bytes (None where it isn't known), memory_guard_min_available_bytes, memory_ok.
    """
    bodies = [(name, fields) for r in queue if isinstance(r, Mapping) for name, fields in r.items()]
    setup: Mapping[str, Any] = next((f for n, f in bodies if n == "BakeryMqSetup"), {})
    queues, on_stick = int(setup.get("queues_available", 0)), bool(setup.get("stick_offset"))
    names = facts.links if len(facts.links) == 2 - on_stick else ["stick"] if on_stick else ["to_network", "to_internet"]
    counts = [_Count() for _ in names] if setup else []
    for count in counts:
        sides = 2 if on_stick else 1
        count.infra = 1 + queues * sides
        for _ in range(2 * queues * sides):
            count.add_leaf(facts.default_sqm)
    for name, fields in bodies:
        if name == "BakeryAddCircuit" and counts:
            for count, words in zip((counts[0], counts[-1]), _leaves(fields, facts)):
                count.add_leaf(words)
    return _judge({name: count.detail() for name, count in zip(names, counts)}, facts)


def _judge(details: Dict[str, Dict[str, int]], facts: Facts) -> Dict[str, Any]:
    total = sum(d["estimated_memory_bytes"] for d in details.values())
    planned = sum(d["planned_qdiscs"] for d in details.values())
    anew = total * max(0, planned - facts.qdiscs_there) // planned if planned else 0
    host = memory()
    available = host.get("MemAvailable")
    memory_ok = not facts.applies or available is None or anew == 0 or available - anew >= GUARD_BYTES
    count_ok = all(d["planned_qdiscs"] <= SAFE_BUDGET for d in details.values())
    shown = ["%s %d qdiscs" % (name, d["planned_qdiscs"]) for name, d in sorted(details.items())] or ["no links"]
    message = "the batch %s: %s (at most %d); memory %d bytes, %d of them new, %s available" % (
        "fits" if count_ok and memory_ok else "does not fit",
        ", ".join(shown),
        SAFE_BUDGET,
        total,
        anew,
        "unknown" if available is None else available,
    )
    return {
        "ok": count_ok and memory_ok,
        "message": message,
        "summary": message,
        "interfaces": {name: d["planned_qdiscs"] for name, d in details.items()},
        "interface_details": details,
        "safe_budget": SAFE_BUDGET,
        "hard_limit": HARD_LIMIT,
        "estimated_total_memory_bytes": total,
        "memory_available_bytes": available,
        "memory_total_bytes": host.get("MemTotal"),
        "memory_guard_min_available_bytes": GUARD_BYTES,
        "memory_ok": memory_ok,
    }


def report(result: Mapping[str, Any]) -> Dict[str, Any]:
    """Give an estimate as the fields of BakeryReportPreflight."""
    names = (
        "ok",
        "message",
        "safe_budget",
        "hard_limit",
        "estimated_total_memory_bytes",
        "memory_available_bytes",
        "memory_guard_min_available_bytes",
        "memory_ok",
    )
    interfaces = [{"name": name, **detail} for name, detail in result["interface_details"].items()]
    return {**{name: result[name] for name in names}, "interfaces": interfaces}


def memory() -> Dict[str, int]:
    """Give the sizes of /proc/meminfo in bytes."""
    sizes: Dict[str, int] = {}
    try:
        with open("/proc/meminfo", encoding="ascii") as f:
            for line in f:
                name, _, rest = line.partition(":")
                words = rest.split()
                if len(words) == 2 and words[0].isdigit() and words[1] == "kB":
                    sizes[name] = int(words[0]) << 10
    except (OSError, ValueError):
        pass
    return sizes
