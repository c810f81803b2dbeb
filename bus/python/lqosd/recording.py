"""Recordings of real clients: their calls, and the tc lines that they computed for the same network.

A recording is a folder with cfg.json, trace.jsonl and trace-bulk.jsonl (first generation), linux_tc.txt; and
trace-head.jsonl (second generation), linux_tc-head.txt. A call is a line of JSON with fn and args.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Dict, Iterator, List, Mapping, Tuple

from lqosd.process import Network


class BadRecording(Exception):
    """A recording can't be read, or isn't one."""


@dataclass(frozen=True)
class Trace:
    """A file of calls, with the file of lines that belongs to it."""

    calls_file: str
    lines_file: str


TRACES = {
    "first": Trace("trace.jsonl", "linux_tc.txt"),
    "bulk": Trace("trace-bulk.jsonl", "linux_tc.txt"),
    "second": Trace("trace-head.jsonl", "linux_tc-head.txt"),
}


def read_network(folder: str) -> Network:
    """Read the network of a recording."""
    text = read(os.path.join(folder, "cfg.json"))
    try:
        return Network.of_recording(json.loads(text))
    except (ValueError, KeyError, TypeError) as e:
        raise BadRecording("%s: cfg.json: %s: %s" % (folder, type(e).__name__, e)) from e


def read(path: str) -> str:
    """Read a file of a recording."""
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except (OSError, UnicodeDecodeError) as e:
        raise BadRecording("%s: %s" % (path, e)) from e


def calls(path: str) -> Iterator[Dict[str, Any]]:
    """Give the calls of a file."""
    for n, line in enumerate(read(path).splitlines(), 1):
        try:
            call = json.loads(line)
        except ValueError as e:
            raise BadRecording("%s, line %d: %s" % (path, n, e)) from e
        if not isinstance(call, dict) or not isinstance(call.get("fn"), str) or not isinstance(call.get("args"), dict):
            raise BadRecording("%s, line %d: no call with fn and args" % (path, n))
        yield call


def play(path: str, module: ModuleType) -> int:
    """Make the calls of a file with a liblqos_python, and give their number.

    Raises BadRecording for what isn't a call of the bakery, RuntimeError where a call of the first generation is False,
    and what the second generation raises.
    """
    bakery, batch, count = module.Bakery(), module.BatchedCommands(), 0
    for count, call in enumerate(calls(path), 1):
        fn, args = call["fn"], _arguments(call)
        if fn == "Bakery":
            bakery = module.Bakery()
        elif fn.startswith("BatchedCommands."):
            _method(batch, fn.split(".", 1)[1], path)(**args)
        elif fn.startswith("bakery_"):
            if not _method(module, fn, path)(**args):
                raise RuntimeError("call %d, %s, was refused (its reason is on stderr)" % (count, fn))
        elif fn == "clear_ip_mappings":
            module.clear_ip_mappings()
        else:
            _method(bakery, fn, path)(**args)
    return count


def _arguments(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the arguments; what a recorder noted beside them is no argument."""
    notes = {"commit": "queued", "BatchedCommands.submit": "length"}
    return {k: v for k, v in call["args"].items() if k != notes.get(call["fn"])}


def _method(of: object, name: str, path: str) -> Any:
    method = None if name.startswith("_") else getattr(of, name, None)
    if not callable(method):
        raise BadRecording("%s: no call %r is known" % (path, name))
    return method


def compare(kind: str, client: str, daemon: str) -> List[str]:
    """Compare the client's lines with the daemon's; give unified diffs, none if they are equal.

    kind is one of TRACES, or "reset": lines in bulk behind a reset. By the calls of the first generation the daemon has
    the network twice, before the reset from single calls, in which only "0x" may differ, and after it in bulk.
    """
    if kind == "bulk":
        return _diff("", client.splitlines(), daemon.splitlines())
    if kind == "second":
        return _diff("", _normal(client), _normal(daemon))
    before, after = _cut(daemon)
    if kind == "reset":
        return _diff("", client.splitlines(), after)
    plain = _without_0x(client.splitlines())
    return _diff(" before the reset", plain, _without_0x(before)) + _diff(" after the reset", client.splitlines(), after)


def kind_of(daemon: str) -> str:
    """Tell by what kind of calls a daemon's lines came."""
    before, after = _cut(daemon)
    if after:
        return "first" if before else "reset"
    return "second"


def _cut(text: str) -> Tuple[List[str], List[str]]:
    """Give the lines before the deletions of a reset, and those after them."""
    before: List[str] = []
    after: List[str] = []
    part = before
    for line in text.splitlines():
        if line.startswith("qdisc delete "):
            part = after
        else:
            part.append(line)
    return before, after


def _without_0x(lines: List[str]) -> List[str]:
    return [line.replace("0x", "") for line in lines]


_CLASS = re.compile(r"^(class \w+ dev \S+ parent )(\w+)(:\w*) classid (?:\w+:)?(\w+)")


def _normal(text: str) -> List[str]:
    """Write handles in one way: without 0x, and the classid with its major, which the parent has, too."""
    return [_CLASS.sub(r"\1\2\3 classid \2:\4", line) for line in _without_0x(text.splitlines())]


def _diff(where: str, client: List[str], daemon: List[str]) -> List[str]:
    return list(difflib.unified_diff(client, daemon, "client" + where, "tc-rust.txt" + where, lineterm=""))
