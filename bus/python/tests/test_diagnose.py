"""Every finding of diagnose_bakery.py, provoked."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import random
import resource
import signal
import stat
import sys
from typing import Any, Dict, List
from unittest import mock

from tests.place import Place, Recorder, as_nobody, on_stderr, program

import diagnose_bakery
import liblqos_python
from lqosd.bus import Connection
from lqosd.process import Network, PrivateDaemon

DAEMON = 1  # the group of Debian that every host has


class DiagnoseTest(Place):
    """Each test runs the script in a folder of its own, with a daemon as it should not be."""

    def setUp(self) -> None:
        """Go to the folder."""
        super().setUp()
        before = os.getcwd()
        os.chmod(self.folder, 0o777)
        os.chdir(self.folder)
        self.addCleanup(os.chdir, before)
        self.socket = os.path.join(self.folder, "none")
        self.config = os.path.join(self.folder, "lqos.conf")
        self.program = program()

    def diagnose(self, *more: str) -> Dict[str, Dict[str, str]]:
        """Run it, and give the findings by their check; exit code and JSON have to agree with them."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = diagnose_bakery.main(["--json", "--socket", self.socket, "--lqosd", self.program, "--config", self.config, *more])
        report = json.loads(out.getvalue())
        findings: List[Dict[str, str]] = report["findings"]
        bad = [f for f in findings if f["verdict"] == "problem"]
        self.assertEqual(code, 1 if bad else 0)
        self.assertEqual(report["ok"], not bad)
        for f in bad:
            self.assertTrue(f["advice"], f)
        return {f["check"]: f for f in findings}

    def finds(self, check: str, text: str, advice: str, *more: str) -> None:
        """Want a problem, and its advice."""
        found = self.diagnose(*more).get(check)
        self.assertIsNotNone(found, check)
        assert found is not None
        self.assertEqual(found["verdict"], "problem", found)
        self.assertIn(text, found["text"])
        self.assertIn(advice, found["advice"])

    def configure(self, **network: Any) -> None:
        """Write a configuration."""
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(Network(**network).toml(self.folder))

    def live(self, **options: Any) -> PrivateDaemon:
        """Start a daemon to look at."""
        daemon = self.daemon(**options)
        self.socket = daemon.socket
        return daemon

    def status(self, **fields: Any) -> None:
        """Let a server show a status, in apply mode unless fields say otherwise."""
        status = {"mode": "apply", "version": "v", "pid": 1, "last_seq": 3, "bakery": "running", "state_dir": "/s", "config": self.config}
        answers: Dict[str, Any] = {"LqosdStatus": {"LqosdStatus": {**status, **fields}}, "ListIpFlow": {"MappedIps": []}}
        server = self.server(Recorder(lambda r: answers.get(r, "Ack")))
        self.socket = server.path

    # All is well

    def test_fine(self) -> None:
        """Exit code 0, no advice, the lines of the six commands; the daemon that was looked at has no new record."""
        self.configure()
        daemon = self.live()
        liblqos_python.bakery_mq_setup()
        before = daemon.tc_lines()
        os.mkdir("elsewhere")
        os.chdir("elsewhere")
        found = self.diagnose()
        self.assertEqual([f for f in found.values() if f["advice"] and f["verdict"] == "problem"], [])
        for name in (c for c in dir(liblqos_python) if c.startswith("bakery_")):
            self.assertEqual(found[name]["verdict"], "ok")
        with open("tc-rust.txt", encoding="utf-8") as f:
            self.assertIn("qdisc delete dev eth1 root\n", f.read())
        self.assertEqual(stat.S_IMODE(os.stat("tc-rust.txt").st_mode), 0o644)
        self.assertEqual(daemon.tc_lines(), before)
        with Connection(daemon.socket) as connection:
            answer = connection.ask("LqosdStatus")
            assert isinstance(answer, dict)
            self.assertEqual(answer["LqosdStatus"]["last_seq"], 1)
        self.assertIs(liblqos_python.is_lqosd_alive(), True)

    def test_text(self) -> None:
        """The report for people has every finding, and advice with an arrow; wrong arguments end with 2."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(diagnose_bakery.main(["--socket", self.socket, "--lqosd", self.program]), 1)
        self.assertRegex(out.getvalue(), "problem +daemon +no daemon: there is no socket")
        self.assertIn("→ Start the daemon: systemctl start lqosd", out.getvalue())
        for wrong in (["--timeout", "0"], ["--timeout", "x"], ["--pie"], ["--lqosd"]):
            with on_stderr(), self.assertRaises(SystemExit) as caught:
                diagnose_bakery.main(wrong)
            self.assertEqual(caught.exception.code, 2)
        with contextlib.redirect_stdout(io.StringIO()) as text, self.assertRaises(SystemExit) as caught:
            diagnose_bakery.main(["--help"])
        self.assertEqual(caught.exception.code, 0)
        self.assertIn("Exit code", text.getvalue())

    # No way to the daemon

    def test_no_socket(self) -> None:
        """No daemon, and no socket; one of the built-in defaults is seen."""
        self.finds("daemon", "no socket", "systemctl start lqosd")
        os.mkdir("lqosd-state")
        with open("lqosd-state/bus", "w", encoding="utf-8"):
            pass
        self.finds("daemon", "no socket", "There is one at lqosd-state/bus")

    def test_killed(self) -> None:
        """The socket of a daemon that was killed."""
        self.live().kill()
        self.finds("daemon", "nobody listens", "left over from a daemon that has ended")

    def test_no_socket_but_a_file(self) -> None:
        """A file that is no socket."""
        with open(self.socket, "w", encoding="utf-8"):
            pass
        self.finds("daemon", "nobody listens", "is no socket")

    def test_stopped(self) -> None:
        """A daemon that hangs."""
        daemon = self.live()
        pid = daemon.pid()
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        self.finds("daemon", "says nothing for 0.3 s", "systemctl restart lqosd", "--timeout", "0.3")

    def test_folder(self) -> None:
        """A socket in a folder that isn't this user's."""
        daemon = self.live()
        os.chmod(daemon.folder, 0o000 if os.geteuid() else 0o700)
        self.addCleanup(os.chmod, daemon.folder, 0o700)
        with as_nobody():
            self.finds("daemon", "may not open", "chmod 0755 " + daemon.folder)

    def test_permission(self) -> None:
        """A socket of another group."""
        daemon = self.live()
        os.chmod(daemon.folder, 0o755)
        os.chmod(daemon.socket, 0o660 if os.geteuid() == 0 else 0)
        with as_nobody():
            self.finds("daemon", "may not open", "usermod -aG")

    def test_cut_off(self) -> None:
        """The daemon cuts off who isn't in its groups."""
        if os.geteuid() != 0:
            server = self.server(lambda peer: None)
            self.socket = server.path
            self.finds("daemon", "closed the connection at once", "bakery.socket_group")
            return
        self.live(config=self.with_read_group())
        os.chmod(os.path.dirname(self.socket), 0o755)
        with as_nobody():
            self.finds("daemon", "closed the connection at once", "bakery.socket_group")

    def test_may_only_ask(self) -> None:
        """The read group may ask."""
        if os.geteuid() != 0:  # it takes root to be in another group
            self.live()
            stranger = 54321
            with mock.patch("os.geteuid", return_value=stranger), mock.patch("os.getegid", return_value=stranger), mock.patch("os.getgroups", return_value=[]):
                self.finds("rights", "may ask, and not command", "usermod -aG")
            return
        self.live(config=self.with_read_group())
        os.chmod(os.path.dirname(self.socket), 0o755)
        with as_nobody(DAEMON):
            self.finds("rights", "may ask, and not command", "groupadd --system lqos")

    def with_read_group(self) -> str:
        """Write a configuration with a read group."""
        self.configure()
        with open(self.config, "a", encoding="utf-8") as f:
            f.write('read_group = "daemon"\n')
        return self.config

    def test_foreign(self) -> None:
        """Another program on the socket."""
        self.socket = self.server(lambda peer: peer.greet(b"220 ")).path
        self.finds("daemon", "is no lqosd", "Another program has this socket")

    def test_path(self) -> None:
        """A path that no socket can have."""
        self.socket = os.path.join(self.folder, "x" * 120)
        self.finds("daemon", "at most 107 bytes", "bakery.socket in lqos.conf")

    def test_breaks_off(self) -> None:
        """A daemon that ends while it is asked, and one that refuses."""
        self.socket = self.server(lambda peer: peer.greet()).path
        self.finds("daemon", "carried out", "journalctl -u lqosd")
        os.unlink(self.socket)
        self.socket = self.server(Recorder(lambda _: {"Fail": "no pings today"})).path
        self.finds("daemon", "no pings today", "journalctl -u lqosd")

    # How it is

    def test_no_status(self) -> None:
        """A bus of somebody else's."""
        self.socket = self.server(Recorder()).path
        self.finds("status", "answered by Ack", "name lqosd's socket")

    def test_bakery(self) -> None:
        """A log that can't be opened."""
        self.configure()
        os.mkdir(os.path.join(self.folder, "state"))
        daemon = PrivateDaemon(self.program)
        daemon.__enter__()
        self.addCleanup(daemon.__exit__)
        daemon.stop()
        log = os.path.join(daemon.folder, "state", "eventlog")
        os.rename(log, log + ".away")
        with open(log, "w", encoding="utf-8") as f:
            f.write("no folder")
        daemon.start()
        self.socket = daemon.socket
        self.finds("bakery", "the bakery does not run", "lqosd doctor")

    def test_log(self) -> None:
        """A disk that takes no more."""
        daemon = self.live()
        resource.prlimit(daemon.pid(), resource.RLIMIT_FSIZE, (0, 0))
        dice = random.Random(1)
        lines = ["filter add dev eth1 parent 1: protocol ip u32 match x %s" % dice.randbytes(3000).hex() for _ in range(100)]
        with on_stderr() as said:
            for _ in range(40):
                if not liblqos_python.bakery_execute_tc_commands(lines, False):
                    break
        self.assertIn("not known", said.getvalue())
        self.finds("log", "takes no commands", "it is tried again by itself")

    def test_tc_file(self) -> None:
        """A tc file that was removed."""
        daemon = self.live()
        os.unlink(daemon.tc_file)
        self.assertTrue(liblqos_python.bakery_mq_setup())
        self.finds("tc file", "it was removed", "bakery-replay render")

    def test_kernel(self) -> None:
        """A kernel that refuses something."""
        self.status(kernel={"problems_total": 2, "problems": [{"link": "eth1", "object": "qdisc 1:4", "error": "no such file"}]})
        self.finds("kernel", "refuses 2 things, the first: eth1 qdisc 1:4: no such file", "lqosd status lists them")
        for strange in ({"problems_total": 1}, {"problems_total": 1, "problems": [7]}, 5, {"problems_total": 1, "problems": None}):
            os.unlink(self.socket)
            self.status(kernel=strange)
            self.diagnose()

    # The links

    def test_links(self) -> None:
        """Links that aren't there, or have one queue; in file mode that is no problem."""
        self.finds("links", "or names no links", "Write lqos.conf")
        self.configure(to_network="nolink0", to_internet="lo")
        self.status()
        self.finds("link nolink0", "there is no link nolink0", "ip link lists those")
        self.finds("link lo", "one transmit queue", "ethtool -L lo")
        os.unlink(self.socket)
        self.status(mode="file")
        found = self.diagnose()
        self.assertEqual((found["link nolink0"]["verdict"], found["link lo"]["verdict"]), ("note", "ok"))

    # The private daemon

    def test_no_program(self) -> None:
        """No lqosd."""
        self.program = os.path.join(self.folder, "lqosd")
        self.finds("program", "there is no program", "make build")

    def test_program_ends(self) -> None:
        """A program that ends at once, one that can't be started."""
        self.program = "/bin/false"
        self.finds("private daemon", "ended with exit code 1", "Run it by hand")
        self.program = os.path.join(self.folder, "lqosd")
        with open(self.program, "w", encoding="utf-8") as f:
            f.write("no program")
        os.chmod(self.program, 0o755)
        self.finds("private daemon", "can't be started", "Run it by hand")

    def test_commands(self) -> None:
        """A daemon that refuses all six, and one that acknowledges and does nothing."""
        self.program = os.path.join(self.folder, "lqosd")
        for answer, text in (('{"Fail":"not today"}', "refused: liblqos_python: "), ('"Ack"', "acknowledged, and the line is missing")):
            with open(self.program, "w", encoding="utf-8") as f:
                f.write(PRETENDER % {"python": sys.executable, "answer": answer, "path": sys.path})
            os.chmod(self.program, 0o755)
            found = self.diagnose()
            names = [c for c in dir(liblqos_python) if c.startswith("bakery_")]
            self.assertEqual(len(names), 6)
            for name in names:
                self.assertEqual(found[name]["verdict"], "problem")
                self.assertIn(text, found[name]["text"])
                self.assertIn("take both from one version", found[name]["advice"])

    # The file that it leaves

    def test_not_the_daemons_file(self) -> None:
        """A tc-rust.txt of a running daemon is left alone: that of the status, of the configuration, and a locked one."""
        with open("tc-rust.txt", "w", encoding="utf-8") as f:
            f.write("the daemon's")
        self.status(tc_file=os.path.join(self.folder, "tc-rust.txt"))
        self.leaves_alone()
        self.socket = "none"
        self.configure()
        self.leaves_alone()
        os.unlink(self.config)
        with open("tc-rust.txt", "r+", encoding="utf-8") as f:
            fcntl.flock(f, fcntl.LOCK_EX)
            self.leaves_alone()
        self.diagnose()
        with open("tc-rust.txt", encoding="utf-8") as f:
            self.assertNotEqual(f.read(), "the daemon's")

    def leaves_alone(self) -> None:
        """Want the lines in another file."""
        found = self.diagnose()
        self.assertEqual(found["tc-rust.txt"]["verdict"], "ok")
        self.assertIn("tc-rust.diagnose.txt", found["tc-rust.txt"]["text"])
        with open("tc-rust.txt", encoding="utf-8") as f:
            self.assertEqual(f.read(), "the daemon's")
        os.unlink("tc-rust.diagnose.txt")

    def test_not_writable(self) -> None:
        """A folder that takes no files."""
        os.mkdir("gone")
        os.chdir("gone")
        os.rmdir("../gone")
        self.finds("tc-rust.txt", "can't be written", "Run this script in a folder")


PRETENDER = """#!%(python)s
import sys
sys.path[:] = %(path)r
from tests.place import Recorder, Server
import json, signal
options = dict(zip(sys.argv[2::2], sys.argv[3::2]))
open(options["--tc-file"], "w").close()
server = Server(options["--socket"], Recorder(lambda _: json.loads('%(answer)s')))
signal.sigwait([signal.SIGTERM])
server.close()
"""
