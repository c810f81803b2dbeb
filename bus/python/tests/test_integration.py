"""test_bakery_integration.py sees what is the same and what isn't, and runs a LibreQoS.py with our module in front."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
from typing import Any, Dict, List, Tuple

from tests.place import GOLDEN, TOP, Place, on_stderr, program

import test_bakery_integration as integration
from lqosd.process import Network

LIBREQOS = '''
import os, sys
from liblqos_python import Bakery, BatchedCommands, is_lqosd_alive, interface_a, sqm
assert is_lqosd_alive()
assert os.geteuid() or os.readlink("/proc/self/ns/net") != os.readlink("/proc/%d/ns/net" % os.getppid()), "the host's links are in reach"
lines = ["qdisc replace dev %s root handle 7FFF: mq" % interface_a()]
if "first" in sys.argv:
    import liblqos_python
    assert liblqos_python.bakery_clear_prior_settings()
    assert liblqos_python.bakery_execute_tc_commands(lines, False)
else:
    bakery = Bakery()
    bakery.start_batch()
    bakery.setup_mq(1, 0)
    bakery.add_site("s", "0x1:", "0x1:", 3, 1, 1, 10, 10)
    bakery.estimate_qdisc_budget()
    bakery.commit()
    batch = BatchedCommands()
    batch.add_ip_mapping("192.0.2.1", "0x1:0x3", "0x0", False, "c", "d")
    batch.finish_ip_mappings()
    assert batch.submit() == 2
    lines = open("expected.txt").read().splitlines()
if "differ" in sys.argv:
    lines.append("class add dev eth1 parent 1: classid 1:99 htb rate 1mbit")
if "silent" not in sys.argv:
    with open("linux_tc.txt", "w") as f:
        f.writelines(l + "\\n" for l in lines)
sys.exit("exit" in sys.argv and "no network today")
'''

COMPILED = '''
import sys, types
sys.modules["liblqos_python"] = types.ModuleType("compiled")  # as a compiled module registers itself
def interface_a(): return "eth1"
def sqm(): return "cake"
def is_lqosd_alive(): raise AssertionError("the compiled function was called")
class Bakery:
    def __init__(self): raise AssertionError("the compiled class was made")
'''

EXPECTED = """qdisc replace dev eth1 root handle 7FFF: mq
qdisc add dev eth1 parent 7FFF:0x1 handle 0x1: htb default 2
class add dev eth1 parent 0x1: classid 0x1:1 htb rate 1.0gbit ceil 1.0gbit quantum 59980
qdisc add dev eth1 parent 0x1:1 cake diffserv4
class add dev eth1 parent 0x1:1 classid 0x1:2 htb rate 250.0mbit ceil 999.0mbit prio 5 quantum 59980
qdisc add dev eth1 parent 0x1:2 cake diffserv4
qdisc replace dev eth0 root handle 7FFF: mq
qdisc add dev eth0 parent 7FFF:0x1 handle 0x1: htb default 2
class add dev eth0 parent 0x1: classid 0x1:1 htb rate 1.0gbit ceil 1.0gbit quantum 59980
qdisc add dev eth0 parent 0x1:1 cake diffserv4
class add dev eth0 parent 0x1:1 classid 0x1:2 htb rate 250.0mbit ceil 999.0mbit prio 5 quantum 59980
qdisc add dev eth0 parent 0x1:2 cake diffserv4
class add dev eth1 parent 0x1: classid 0x3 htb rate 1.0mbit ceil 10.0mbit prio 3 quantum 1522
class add dev eth0 parent 0x1: classid 0x3 htb rate 1.0mbit ceil 10.0mbit prio 3 quantum 1522
"""


class IntegrationTest(Place):
    """Runs of the script."""

    def run_it(self, *arguments: str) -> Tuple[int, List[Dict[str, Any]]]:
        """Run it for JSON; give the exit code and the results."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = integration.main(["--json", "--lqosd", program(), *arguments])
        results: List[Dict[str, Any]] = json.loads(out.getvalue())
        self.assertEqual(code, 0 if all(r["verdict"] == "same" for r in results) else 1)
        return code, results

    def changed(self, name: str, old: str, new: str) -> str:
        """Copy a recording, with a change in one of its files."""
        folder = os.path.join(self.folder, "changed")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(os.path.join(GOLDEN, "example"), folder)
        path = os.path.join(folder, name)
        os.chmod(path, 0o644)
        with open(path, encoding="utf-8") as f:
            text = f.read()
        self.assertIn(old, text)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text.replace(old, new))
        return folder

    def test_same(self) -> None:
        """A recording in all its kinds, and the file that is kept."""
        keep = os.path.join(self.folder, "kept")
        code, results = self.run_it(os.path.join(GOLDEN, "example"), "--keep", keep)
        self.assertEqual(code, 0)
        self.assertEqual([(r["kind"], r["calls"], r["lines"]) for r in results], [("first", 73, 112), ("bulk", 1, 112), ("second", 30, 112)])
        with open(keep, encoding="utf-8") as f:
            self.assertEqual(len(f.readlines()), 112)

    def test_different(self) -> None:
        """One line of the client's is another: the diff of each kind shows it."""
        for name, kinds in (("linux_tc.txt", ["first", "bulk"]), ("linux_tc-head.txt", ["second"])):
            folder = self.changed(name, "ceil 999.0mbit prio 5 quantum 59980\nqdisc add dev eth1 parent 0x1:2 cake", "ceil 998.0mbit prio 5 quantum 59980\nqdisc add dev eth1 parent 0x1:2 cake")
            for kind in kinds:
                code, (result,) = self.run_it(folder, "--kind", kind)
                self.assertEqual((code, result["verdict"]), (1, "different"))
                diff = "\n".join(result["diff"])
                self.assertRegex(diff, r"(?m)^-class add dev eth1 .*ceil 998\.0mbit")
                self.assertRegex(diff, r"(?m)^\+class add dev eth1 .*ceil 999\.0mbit")

    def test_refused(self) -> None:
        """A call that the daemon refuses, a recording that is none: failed, with the reason."""
        folder = self.changed("trace.jsonl", '"classid": "0x3"', '"classid": "0x0"')
        with on_stderr() as said:
            _, (result,) = self.run_it(folder, "--kind", "first")
        self.assertEqual(result["verdict"], "failed")
        self.assertIn("call 2, bakery_add_structural_htb_class, was refused", result["why"])
        self.assertIn("liblqos_python: BakeryAddStructuralHTBClass: ", said.getvalue())
        _, (result,) = self.run_it(self.changed("cfg.json", '"nic_queues": 4,', ""), "--kind", "first")
        self.assertIn("KeyError: 'nic_queues'", result["why"])
        _, (result,) = self.run_it(self.changed("cfg.json", '"nic_queues": 4', '"nic_queues": 0'), "--kind", "first")
        self.assertIn("override_available_queues is 0", result["why"])
        _, (result,) = self.run_it(self.changed("trace-head.jsonl", '"class_minor"', '"classy_minor"'), "--kind", "second")
        self.assertIn("classy_minor", result["why"])

    def test_arguments(self) -> None:
        """Wrong arguments end with 2."""
        librelqos = self.librelqos()
        for arguments in (["--librelqos", "/none"], [self.folder], ["--librelqos", librelqos, self.folder], ["--timeout", "0"], ["--kind", "third"]):
            with on_stderr(), self.assertRaises(SystemExit) as caught:
                integration.main(arguments)
            self.assertEqual(caught.exception.code, 2, arguments)
        with on_stderr() as said:
            self.assertEqual(integration.main(["--lqosd", "/none"]), 2)
        self.assertIn("no program lqosd at /none", said.getvalue())

    def test_text(self) -> None:
        """The diff for people is a unified one."""
        out = io.StringIO()
        folder = self.changed("linux_tc.txt", "quantum 59980", "quantum 59981")
        with contextlib.redirect_stdout(out):
            self.assertEqual(integration.main(["--lqosd", program(), folder, "--kind", "bulk"]), 1)
        self.assertRegex(out.getvalue(), r"(?m)^different  changed, bulk: 1 calls, 112 lines$")
        self.assertRegex(out.getvalue(), r"(?m)^--- client$\n^\+\+\+ tc-rust.txt$\n^@@")

    # A LibreQoS.py

    def librelqos(self) -> str:
        """Write a program that does what LibreQoS.py does, in a folder with what stands for the compiled module."""
        source = os.path.join(self.folder, "src")
        os.makedirs(source, exist_ok=True)
        for name, text in (("LibreQoS.py", LIBREQOS), ("liblqos_python.py", COMPILED), ("expected.txt", EXPECTED), ("linux_tc.txt", "old\n")):
            with open(os.path.join(source, name), "w", encoding="utf-8") as f:
                f.write(text)
        with open(os.path.join(self.folder, "lqos.conf"), "w", encoding="utf-8") as f:
            f.write(Network().toml(self.folder))
        return os.path.join(source, "LibreQoS.py")

    def run_librelqos(self, words: str) -> Tuple[int, Dict[str, Any]]:
        """Run that program through the script."""
        path = self.librelqos()
        code, (result,) = self.run_it("--librelqos", path, "--config", os.path.join(self.folder, "lqos.conf"), "--arguments", words)
        with open(os.path.join(os.path.dirname(path), "linux_tc.txt"), encoding="utf-8") as f:
            self.assertEqual(f.read(), "old\n", "the folder itself was written to")
        return code, result

    def test_librelqos(self) -> None:
        """Both generations are the same; what differs, fails or says nothing is seen."""
        for words, verdict, why in (
            ("second", "same", ""),
            ("first", "same", ""),
            ("second differ", "different", ""),
            ("first differ", "different", ""),
            ("second exit", "failed", "exit code 1: .*no network today"),
            ("second silent", "failed", "linux_tc.txt"),
        ):
            with self.subTest(words=words):
                _, result = self.run_librelqos(words)
                self.assertEqual(result["verdict"], verdict, result)
                self.assertRegex(result["why"], why or "^$")
                if verdict == "different":
                    self.assertRegex("\n".join(result["diff"]), r"(?m)^-class add dev eth1 .*:99")


class LaunchTest(Place):
    """The module in front of the compiled one."""

    def launch(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program through the launcher, in its folder with a stand-in of the compiled module."""
        for name, text in (("program.py", code), ("liblqos_python.py", COMPILED)):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
                f.write(text)
        command = [sys.executable, "-m", "lqosd.launch", *(arguments or ["program.py"])]
        variables = {**os.environ, "PYTHONPATH": TOP}
        return subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True, timeout=60, check=False)

    def test_names(self) -> None:
        """Ours come from us, the others from the compiled module, and none from nowhere."""
        done = self.launch(
            "import liblqos_python as l, sys\n"
            "assert sys.argv == ['program.py'] and __name__ == '__main__', sys.argv\n"
            "assert l.interface_a() == 'eth1' and l.Bakery().estimate_qdisc_budget\n"
            "assert sys.modules['liblqos_python'] is l\n"
            "try:\n from liblqos_python import pie\nexcept ImportError as e: print(e)\n"
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("cannot import name 'pie'", done.stdout)

    def test_alone(self) -> None:
        """Without a compiled module a name of it is an error that says so."""
        module = importlib.import_module("liblqos_python")
        with self.assertRaisesRegex(AttributeError, "interface_a is not of lqosd"):
            getattr(module, "interface_a")

    def test_arguments(self) -> None:
        """Help, and a program that isn't there."""
        self.assertEqual(self.launch("", "--help").returncode, 0)
        done = self.launch("", "none.py")
        self.assertEqual(done.returncode, 2)
        self.assertIn("there is no program none.py", done.stderr)
