#!/usr/bin/env python3
"""Finds out why a client of lqosd doesn't get its network shaped, and says what to do about it.

Looks, in this order, whether a daemon is there, whether this user may speak to it, how it is, whether the links are
there, and whether each of the six commands of the bakery does what it should. The commands go to a private daemon in
file mode, which this script starts and ends: a running daemon is only asked questions (Ping, LqosdStatus, ListIpFlow),
and its shaping stays as it is. The tc lines of the private daemon are left in ./tc-rust.txt, or in
./tc-rust.diagnose.txt where the first belongs to a daemon.

Exit code 0 when all is well, 1 when something is wrong, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import grp
import io
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from typing import Any, Callable, List, Mapping, Optional, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from lqosd import budget, launch
from lqosd.bus import Connection, LqosdError, Unavailable, plain, socket_path
from lqosd.process import PrivateDaemon, environment, find_program

EXAMPLES = """examples:
  diagnose_bakery.py
  diagnose_bakery.py --socket lqosd-state/bus --lqosd bin/lqosd --json
"""

OK, NOTE, PROBLEM = "ok", "note", "problem"


@dataclass
class Finding:
    """A line of the report."""

    check: str
    verdict: str
    text: str
    advice: str = ""


class Diagnosis:
    """What was found."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Begin with nothing."""
        self.options = options
        self.findings: List[Finding] = []
        self.tc_file = ""
        self.status: Mapping[str, Any] = {}

    def add(self, check: str, verdict: str, text: str, advice: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(check, verdict, plain(text), plain(advice)))

    def is_fine(self) -> bool:
        """Tell whether nothing is wrong."""
        return all(f.verdict != PROBLEM for f in self.findings)

    # The running daemon

    def look_at_daemon(self) -> None:
        """Ask the running daemon."""
        path = self.options.socket
        try:
            with Connection(path, self.options.timeout) as connection:
                self.add("daemon", OK, "a daemon listens at %s" % path)
                self._ask(connection)
        except Unavailable as e:
            self.add("daemon", PROBLEM, str(e), advice_for(path, e.cause))
        except LqosdError as e:
            self.add("daemon", PROBLEM, str(e), advice_for(path, Unavailable.LOST))

    def _ask(self, connection: Connection) -> None:
        connection.ask("Ping")
        self._look_at_rights(connection.path)
        answer = connection.ask("LqosdStatus")
        status = answer.get("LqosdStatus") if isinstance(answer, Mapping) else None
        if not isinstance(status, Mapping):
            self.add("status", PROBLEM, "LqosdStatus is answered by %s" % answer, "Another daemon than lqosd listens there: name lqosd's socket with --socket.")
            return
        self.status = status
        self._look_at_status(status)
        answer = connection.ask("ListIpFlow")
        mapped = answer.get("MappedIps") if isinstance(answer, Mapping) else None
        self.add("mappings", OK, "%d addresses are mapped" % len(mapped) if isinstance(mapped, list) else "none")

    def _look_at_rights(self, path: str) -> None:
        try:
            info = os.stat(path)
        except OSError as e:
            self.add("rights", NOTE, "%s: %s" % (path, e))
            return
        if os.geteuid() in (0, info.st_uid) or info.st_gid in {os.getegid(), *os.getgroups()}:
            self.add("rights", OK, "uid %d may send commands" % os.geteuid())
            return
        self.add("rights", PROBLEM, "uid %d may ask, and not command" % os.geteuid(), join_group(info.st_gid))

    def _look_at_status(self, status: Mapping[str, Any]) -> None:
        where = "version %s, pid %s, %s mode" % (status.get("version"), status.get("pid"), status.get("mode"))
        self.add("status", OK, "%s, last record %s" % (where, status.get("last_seq")))
        if status.get("bakery") != "running":
            self.add("bakery", PROBLEM, "the bakery does not run: %s" % status.get("bakery"), "lqosd doctor tells what this host lacks; when it is mended: systemctl restart lqosd.")
        if status.get("log_error"):
            self.add("log", PROBLEM, "the event log takes no commands: %s" % status["log_error"], "Make room or mend the disk below %s; it is tried again by itself." % status.get("state_dir"))
        if status.get("sink_error"):
            self.add("tc file", PROBLEM, str(status["sink_error"]), "Restart the daemon, which makes the file anew, or write it with: bakery-replay render %s/eventlog" % status.get("state_dir"))
        kernel = status.get("kernel")
        if isinstance(kernel, Mapping) and kernel.get("problems_total"):
            first: object = next(iter(kernel.get("problems") or []), None)
            shown = "%s %s: %s" % (first.get("link"), first.get("object"), first.get("error")) if isinstance(first, Mapping) else ""
            self.add("kernel", PROBLEM, "the kernel refuses %s things, the first: %s" % (kernel["problems_total"], shown), "lqosd status lists them; lqosd doctor tells which modules and queues this host lacks.")

    # The links

    def look_at_links(self) -> None:
        """Look for the links of the configuration on this host."""
        applies = self.status.get("mode") != "file"
        path = self.options.config or str(self.status.get("config") or "/etc/lqos.conf")
        facts = budget.Facts()
        budget.read_config(path, facts)
        if not facts.links:
            self.add("links", NOTE if self.status else PROBLEM, "%s can't be read, or names no links" % path, "Write lqos.conf with [bridge] to_internet and to_network, or name it with --config.")
            return
        there = {name for _, name in socket.if_nameindex()}
        for link in facts.links:
            if link not in there:
                self.add(
                    "link " + link,
                    PROBLEM if applies else NOTE,
                    "there is no link %s on this host" % link + ("" if applies else "; file mode does without"),
                    "ip link lists those there are; correct [bridge] or [single_interface] in %s." % path,
                )
                continue
            queues = transmit_queues(link)
            if queues == 1 and applies:
                advice = "ethtool -L %s combined 4, or take a card (or a virtual one) with several queues." % link
                self.add("link " + link, PROBLEM, "%s has one transmit queue; mq takes two or more" % link, advice)
            else:
                self.add("link " + link, OK, "%s is there%s" % (link, ", with %d transmit queues" % queues if queues else ""))

    # The commands

    def look_at_commands(self) -> None:
        """Send the six commands to a private daemon, and leave its tc lines."""
        program = find_program(self.options.lqosd)
        if program is None:
            given = self.options.lqosd
            self.add("program", PROBLEM, "there is no program %s" % given if given else "no program lqosd was found", "Install lqosd or build it (make build makes bin/lqosd), and name it: --lqosd PATH.")
            return
        self.add("program", OK, program)
        try:
            with PrivateDaemon(program) as daemon, environment(LQOSD_SOCKET=daemon.socket, LQOSD_TIMEOUT=str(self.options.timeout)):
                self._send(daemon)
        except (LqosdError, OSError, subprocess.SubprocessError) as e:
            self.add("private daemon", PROBLEM, str(e), "Run it by hand and read what it says: %s serve --mode file --state-dir /tmp/lqosd-try" % program)

    def _send(self, daemon: PrivateDaemon) -> None:
        seen = 0
        for name, arguments, wanted in commands():
            diagnostics = io.StringIO()
            with contextlib.redirect_stderr(diagnostics):
                taken = getattr(launch.load_ours(), name)(**arguments)
            lines = daemon.tc_lines().splitlines()
            fresh, seen = lines[seen:], len(lines)
            advice = "This lqosd and this script don't fit together, or lqosd is at fault: take both from one version. Its log ends with: %s" % daemon.log()[-300:]
            missing = [line for line in wanted if line.replace("0x", "") not in (f.replace("0x", "") for f in fresh)]
            if not taken:
                self.add(name, PROBLEM, "refused: %s" % diagnostics.getvalue().strip(), advice)
            elif missing:
                self.add(name, PROBLEM, "acknowledged, and the line is missing: %s" % missing[0], advice)
            else:
                self.add(name, OK, "%d lines, as they should be" % len(fresh))
        self._leave(daemon.tc_lines())

    def _leave(self, text: str) -> None:
        """Write the lines into the current folder, but never into a daemon's file."""
        name = "tc-rust.txt"
        try:
            owner = self._owner(os.path.abspath(name))
            if owner:
                name = "tc-rust.diagnose.txt"
            handle, temporary = tempfile.mkstemp(prefix=".tc-rust-", dir=".")
            with os.fdopen(handle, "w", encoding="utf-8") as f:
                f.write(text)
            os.chmod(temporary, 0o644)
            os.replace(temporary, name)
        except OSError as e:
            self.add("tc-rust.txt", PROBLEM, "%s can't be written: %s" % (name, e), "Run this script in a folder that you may write to.")
            return
        self.tc_file = os.path.abspath(name)
        why = ", because ./tc-rust.txt belongs to %s" % owner if owner else ""
        self.add("tc-rust.txt", OK, "the tc lines of these commands are in %s%s" % (self.tc_file, why))

    def _owner(self, path: str) -> str:
        """Say which daemon a tc file belongs to, "" for none."""
        for theirs in (self.status.get("tc_file"), configured_tc_file(self.options.config or "/etc/lqos.conf")):
            if isinstance(theirs, str) and theirs and os.path.realpath(theirs) == os.path.realpath(path):
                return "the daemon that shapes this host"
        try:
            with open(path, "rb") as f:
                fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as e:
            if e.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return "a daemon that runs, or to another user"
        return ""


def transmit_queues(link: str) -> int:
    """Count the transmit queues of a link, 0 where sysfs doesn't show it."""
    try:
        return sum(name.startswith("tx-") for name in os.listdir(os.path.join("/sys/class/net", link, "queues")))
    except OSError:
        return 0


def configured_tc_file(config: str) -> str:
    """Give where a daemon with this configuration writes its tc lines, "" if nobody knows."""
    facts = budget.Facts()
    budget.read_config(config, facts)
    return os.path.join(facts.lqos_directory, "tc-rust.txt") if facts.lqos_directory.startswith("/") else ""


def join_group(gid: int) -> str:
    """Say how to get into a group. Nobody should be in root's for this."""
    if gid == 0:
        return "Run as root. Or make the group of bakery.socket_group (groupadd --system lqos), join it (usermod -aG lqos USER, and log in anew), and start the daemon anew."
    try:
        name = grp.getgrgid(gid).gr_name
    except KeyError:
        name = str(gid)
    return "Run as root, or join the group: usermod -aG %s USER, and log in anew." % name


def advice_for(path: str, cause: str) -> str:
    """Say what to do when the daemon can't be reached."""
    if cause == Unavailable.NO_SOCKET:
        other = " There is one at lqosd-state/bus." if os.path.exists("lqosd-state/bus") else ""
        return "Start the daemon: systemctl start lqosd, or lqosd serve. If it listens elsewhere (bakery.socket), name the place: --socket PATH.%s" % other
    if cause == Unavailable.NOBODY:
        if not is_socket(path):
            return "%s is no socket: name the daemon's with --socket PATH." % path
        return "The socket is left over from a daemon that has ended. journalctl -u lqosd tells why; start it again: systemctl start lqosd."
    if cause == Unavailable.PERMISSION:
        try:
            return join_group(os.stat(path).st_gid)
        except OSError:
            return "Run as root, or make its folder searchable: chmod 0755 %s" % os.path.dirname(path)
    if cause == Unavailable.SILENT:
        return "The process is there, and stopped or overloaded: look at it (systemctl status lqosd), start it anew: systemctl restart lqosd."
    if cause == Unavailable.LOST:
        return "Look at its log (journalctl -u lqosd), and start it anew: systemctl restart lqosd."
    if cause == Unavailable.CUT_OFF:
        return "Run as root or as a member of the group of bakery.socket_group; after usermod -aG, log in anew. If you may speak: end other clients of the bus."
    if cause == Unavailable.FOREIGN:
        return "Another program has this socket: end it, or name lqosd's with --socket PATH."
    return "Name the daemon's socket with --socket PATH (bakery.socket in lqos.conf has it)."


def is_socket(path: str) -> bool:
    """Tell whether there is a socket at path."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def commands() -> List[Tuple[str, Mapping[str, Any], List[str]]]:
    """Give the six commands, with arguments for two links of two queues and 1 Gbit/s, and the lines that each has to give."""
    link, r2q = "eth1", 2084
    rebuilt = ["qdisc replace dev eth1 root handle 7FFF: mq", "qdisc add dev eth1 parent 7FFF:0x1 handle 0x1: htb default 2"]
    site = {"interface": link, "parent": "0x1:", "classid": "0x3", "rate_mbps": 50.0, "ceil_mbps": 100.0, "site_hash": -77, "r2q": r2q}
    circuit = {"interface": link, "parent": "0x1:0x3", "classid": "0x4", "rate_mbps": 5.0, "ceil_mbps": 20.0, "circuit_hash": 99, "comment": "diagnosis", "r2q": r2q}
    leaf = {"interface": link, "parent_major": 1, "parent_minor": 4, "circuit_hash": 99, "sqm_params": ["cake", "diffserv4"]}
    return [
        ("bakery_mq_setup", {}, rebuilt),
        ("bakery_add_structural_htb_class", site, ["class add dev eth1 parent 0x1: classid 0x3 htb rate 50.0mbit ceil 100.0mbit prio 3 quantum 5998"]),
        ("bakery_add_circuit_htb_class", circuit, ["class add dev eth1 parent 0x1:0x3 classid 0x4 htb rate 5.0mbit ceil 20.0mbit prio 3 quantum 1522"]),
        ("bakery_add_circuit_qdisc", leaf, ["qdisc add dev eth1 parent 0x1:0x4 cake diffserv4"]),
        ("bakery_clear_prior_settings", {}, ["qdisc delete dev eth1 root", "qdisc delete dev eth0 root"]),
        ("bakery_execute_tc_commands", {"commands": rebuilt, "force_mode": False}, rebuilt),
    ]


def parse(arguments: Optional[List[str]]) -> argparse.Namespace:
    """Read the arguments."""
    p = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--socket", metavar="PATH", default=socket_path(), help="the daemon's bus (default: LQOSD_SOCKET, or /run/lqos/bus)")
    p.add_argument("--lqosd", metavar="PATH", help="the program for the private daemon (default: LQOSD_BIN, PATH, ./bin/lqosd)")
    p.add_argument("--config", metavar="FILE", help="the daemon's configuration (default: what the daemon says, or /etc/lqos.conf)")
    p.add_argument("--timeout", metavar="SECONDS", type=float, default=10, help="give up a silent daemon after this time (default 10)")
    p.add_argument("--json", action="store_true", help="print JSON")
    options = p.parse_args(arguments)
    if not 0 < options.timeout < 1e6:
        p.error("--timeout: want seconds, more than 0")
    return options


def show(diagnosis: Diagnosis) -> None:
    """Print the findings for people."""
    for f in diagnosis.findings:
        print("%-8s %-32s %s" % (f.verdict, f.check, f.text))
        if f.advice:
            print("%-8s %-32s → %s" % ("", "", f.advice))


def main(arguments: Optional[List[str]] = None) -> int:
    """Diagnose, and give the exit code."""
    diagnosis = Diagnosis(parse(arguments))
    steps: List[Callable[[], None]] = [diagnosis.look_at_daemon, diagnosis.look_at_links, diagnosis.look_at_commands]
    for step in steps:
        step()
    if diagnosis.options.json:
        print(json.dumps({"ok": diagnosis.is_fine(), "findings": [asdict(f) for f in diagnosis.findings], "tc_file": diagnosis.tc_file}, indent=2))
    else:
        show(diagnosis)
    return 0 if diagnosis.is_fine() else 1


if __name__ == "__main__":
    sys.exit(main())
