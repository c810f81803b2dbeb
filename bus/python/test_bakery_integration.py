#!/usr/bin/env python3
"""Compares what a client of LibreQoS computes with what lqosd makes of its calls.

Plays recorded networks through liblqos_python to a private daemon in file mode, and compares the tc lines that the
client computed itself (linux_tc.txt) with those of the daemon (tc-rust.txt). Or runs a given LibreQoS.py in a copy of
its folder; as root in a network namespace of its own, for versions that call tc(8) themselves. Touches neither the
host's links nor a running daemon.

Exit code 0 when nothing differs, 1 when something does or failed, 2 for wrong arguments, or when there is nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from typing import Dict, List, Optional

HERE = os.path.dirname(os.path.abspath(__file__))
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from lqosd import launch, recording
from lqosd.bus import LqosdError, plain
from lqosd.process import PrivateDaemon, environment, find_program

EXAMPLES = """examples:
  test_bakery_integration.py                            all recordings of the checkout
  test_bakery_integration.py testdata/golden/example --kind second
  test_bakery_integration.py --librelqos /opt/libreqos/src/LibreQoS.py --config /etc/lqos.conf
"""

SAME, DIFFERENT, FAILED = "same", "different", "failed"


@dataclass
class Result:
    """What came of one comparison."""

    name: str
    kind: str
    verdict: str = SAME
    calls: int = 0
    lines: int = 0
    why: str = ""
    diff: List[str] = field(default_factory=list)


def parse(arguments: Optional[List[str]]) -> argparse.Namespace:
    """Read the arguments."""
    p = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("recording", nargs="*", help="folders of recordings (default: those of testdata/golden in the checkout)")
    p.add_argument("--kind", choices=sorted(recording.TRACES), action="append", help="calls to play: first and second generation, or in bulk (default: all that a recording has)")
    p.add_argument("--librelqos", metavar="PATH", help="run this LibreQoS.py instead of playing recordings")
    p.add_argument("--config", metavar="FILE", default="/etc/lqos.conf", help="configuration for --librelqos (default /etc/lqos.conf)")
    p.add_argument("--arguments", metavar="WORDS", default="", help="arguments for LibreQoS.py, as one text")
    p.add_argument("--timeout", metavar="SECONDS", type=float, default=600, help="give LibreQoS.py up after this time (default 600)")
    p.add_argument("--lqosd", metavar="PATH", help="the daemon's program (default: LQOSD_BIN, PATH, bin of the checkout)")
    p.add_argument("--keep", metavar="FILE", help="write the daemon's lines of the last comparison to this file")
    p.add_argument("--json", action="store_true", help="print JSON")
    options = p.parse_args(arguments)
    if options.librelqos and options.recording:
        p.error("--librelqos and recordings exclude each other")
    if options.librelqos and not os.path.isfile(options.librelqos):
        p.error("there is no %s" % options.librelqos)
    if options.timeout <= 0:
        p.error("--timeout: want more than 0")
    for folder in options.recording:
        if not os.path.isfile(os.path.join(folder, "cfg.json")):
            p.error("%s is no recording: it has no cfg.json" % folder)
    return options


def recordings(given: List[str]) -> List[str]:
    """Give the folders of recordings: those given or, without any, those of the checkout."""
    root = os.path.join(os.path.dirname(os.path.dirname(HERE)), "testdata", "golden")
    if given or not os.path.isdir(root):
        return given
    folders = (os.path.join(root, name) for name in sorted(os.listdir(root)))
    return [f for f in folders if os.path.isfile(os.path.join(f, "cfg.json"))]


def _away_from_links() -> List[str]:
    """Give what a command starts with that must not reach the host's links: root could change them."""
    return ["unshare", "--net", "--"] if os.geteuid() == 0 else []


class Check:
    """The comparisons of one run."""

    def __init__(self, program: str, options: argparse.Namespace) -> None:
        """Make a run with a daemon's program."""
        self._program = program
        self._options = options
        self.results: List[Result] = []

    def play(self, folder: str) -> None:
        """Play what a recording has."""
        for kind, trace in recording.TRACES.items():
            wanted = self._options.kind or recording.TRACES
            if kind not in wanted or not os.path.isfile(os.path.join(folder, trace.calls_file)):
                continue
            result = Result(os.path.basename(os.path.normpath(folder)), kind)
            self.results.append(result)
            try:
                network = recording.read_network(folder)
                with PrivateDaemon(self._program, network) as daemon, environment(LQOSD_SOCKET=daemon.socket):
                    result.calls = recording.play(os.path.join(folder, trace.calls_file), launch.load_ours())
                    self._judge(result, kind, recording.read(os.path.join(folder, trace.lines_file)), daemon)
            except (LqosdError, recording.BadRecording, RuntimeError, TypeError, OSError) as e:
                result.verdict, result.why = FAILED, plain(e)

    def run(self, program: str) -> None:
        """Run a LibreQoS.py in a copy of its folder."""
        result = Result(program, "librelqos")
        self.results.append(result)
        work = tempfile.mkdtemp(prefix="lqosd-librelqos-")
        try:
            copy = os.path.join(work, "src")
            shutil.copytree(os.path.dirname(os.path.abspath(program)), copy, symlinks=True, ignore=_not_copied)
            lines = os.path.join(copy, "linux_tc.txt")
            if os.path.lexists(lines):
                os.unlink(lines)
            with PrivateDaemon(self._program, config=os.path.abspath(self._options.config)) as daemon:
                self._run_copy(os.path.join(copy, os.path.basename(program)), daemon)
                if not os.path.exists(lines):
                    raise RuntimeError("it ended well, and wrote no linux_tc.txt into its folder, as a LibreQoS.py does")
                self._judge(result, recording.kind_of(daemon.tc_lines()), recording.read(lines), daemon)
        except (LqosdError, recording.BadRecording, RuntimeError, OSError, subprocess.SubprocessError) as e:
            result.verdict, result.why = FAILED, plain(e)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _run_copy(self, program: str, daemon: PrivateDaemon) -> None:
        variables: Dict[str, str] = {**os.environ, "LQOSD_SOCKET": daemon.socket}
        variables["PYTHONPATH"] = os.pathsep.join(p for p in (HERE, os.environ.get("PYTHONPATH")) if p)
        command = [*_away_from_links(), sys.executable, "-m", "lqosd.launch", program, *self._options.arguments.split()]
        done = subprocess.run(
            command,
            cwd=os.path.dirname(program),
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=self._options.timeout,
            check=False,
        )
        if done.returncode != 0:
            said = done.stdout.decode("utf-8", "replace").strip()[-2000:]
            raise RuntimeError("it ended with exit code %d: %s" % (done.returncode, said))

    def _judge(self, result: Result, kind: str, client: str, daemon: PrivateDaemon) -> None:
        got = daemon.tc_lines()
        result.lines = len(client.splitlines())
        result.diff = recording.compare(kind, client, got)
        if result.diff:
            result.verdict = DIFFERENT
        elif not result.lines:
            result.verdict, result.why = FAILED, "the client computed no lines"
        if self._options.keep:
            with open(self._options.keep, "w", encoding="utf-8") as f:
                f.write(got)


def _not_copied(folder: str, names: List[str]) -> List[str]:
    """Name what a run of LibreQoS.py doesn't need: sources of its other parts, and sockets or pipes."""
    unneeded = {".git", "rust", "target", "node_modules", "__pycache__"}
    paths = {name: os.path.join(folder, name) for name in names}
    return [n for n, p in paths.items() if n in unneeded or not (os.path.isfile(p) or os.path.isdir(p) or os.path.islink(p))]


def show(results: List[Result]) -> None:
    """Print results for people."""
    for r in results:
        print("%-9s  %s, %s: %d calls, %d lines%s" % (r.verdict, r.name, r.kind, r.calls, r.lines, ": " + r.why if r.why else ""))
        for line in r.diff:
            print(plain(line))


def main(arguments: Optional[List[str]] = None) -> int:
    """Run the comparisons, and give the exit code."""
    options = parse(arguments)
    program = find_program(options.lqosd)
    if program is None:
        print("no program lqosd%s: make build makes bin/lqosd, --lqosd PATH names it" % (" at " + options.lqosd if options.lqosd else ""), file=sys.stderr)
        return 2
    check = Check(program, options)
    if options.librelqos:
        check.run(options.librelqos)
    else:
        for folder in recordings(options.recording):
            check.play(folder)
    if not check.results:
        print("nothing to compare: name a folder with cfg.json and trace.jsonl, or --librelqos PATH", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps([asdict(r) for r in check.results], indent=2))
    else:
        show(check.results)
    return 0 if all(r.verdict == SAME for r in check.results) else 1


if __name__ == "__main__":
    sys.exit(main())
