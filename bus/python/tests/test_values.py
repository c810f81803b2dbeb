"""Hostile and wrong values: they are refused before anything is sent, and none breaks what comes after."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Tuple

from tests.place import Place, Recorder, on_stderr

import liblqos_python
from liblqos_python import BadArgument, Bakery, BatchedCommands
from lqosd.bus import default_timeout, plain
from lqosd.values import handle, hexadecimal, single

SITE: Dict[str, Any] = {
    "site_name": "s",
    "parent_class_id": "0x1:",
    "up_parent_class_id": "0x1:",
    "class_minor": 3,
    "download_bandwidth_min": 1,
    "upload_bandwidth_min": 1.5,
    "download_bandwidth_max": 2,
    "upload_bandwidth_max": 2,
}
CLASS: Dict[str, Any] = {
    "interface": "eth1",
    "parent": "0x1:",
    "classid": "0x3",
    "rate_mbps": 1,
    "ceil_mbps": 1,
    "site_hash": 1,
    "r2q": 10,
}


def with_value(fields: Dict[str, Any], name: str, value: Any) -> Dict[str, Any]:
    """Give arguments with another value of one of them."""
    return {**fields, name: value}


class HandleTest(Place):
    """Handles and numbers in hexadecimal."""

    def test_good(self) -> None:
        """As clients write them."""
        for text, want in (("0x1:0x3", 65539), ("0x1:", 65536), ("1:a", 65546), ("0xffff:0xFFFF", 0xFFFFFFFF), (" 1:2 ", 65538), ("0x5:0x4", 327684)):
            self.assertEqual(handle("h", text), want)
        self.assertEqual(hexadecimal("cpu", "0x1F", 32), 31)

    def test_bad(self) -> None:
        """And as they don't."""
        for text in ("", ":", "1", ":3", "0x:1", "1:2:3", "10000:1", "1:10000", "-1:2", "1:+2", "g:1", "1_0:1", "1: 2x", "\u0661:1", "1:" + "f" * 10000):
            with self.assertRaises(BadArgument, msg=text):
                handle("h", text)

    def test_single(self) -> None:
        """Rates of the second generation are rounded to 32 bits."""
        self.assertEqual(single("r", 0.49), 0.49000000953674316)
        self.assertEqual(single("r", 1000), 1000.0)
        for value in (1e39, -1e39, float("nan"), float("inf"), 10**400):
            with self.assertRaises(BadArgument):
                single("r", value)


class ArgumentTest(Place):
    """Arguments of calls."""

    bad_site: List[Tuple[str, Any]] = [
        ("site_name", "\ud800"),
        ("parent_class_id", "root"),
        ("class_minor", -1),
        ("class_minor", 65536),
        ("download_bandwidth_min", float("nan")),
        ("upload_bandwidth_max", 1e300),
    ]

    def test_site(self) -> None:
        """A bad value is refused, and the batch has nothing of it."""
        recorder = Recorder()
        self.server(recorder)
        b = Bakery()
        b.start_batch()
        for name, value in self.bad_site:
            with self.assertRaises(BadArgument, msg=name):
                b.add_site(**with_value(SITE, name, value))
        for name in SITE:
            with self.assertRaises(TypeError, msg=name):
                b.add_site(**with_value(SITE, name, [1]))
        b.add_site(**SITE)
        b.commit()
        self.assertEqual(len(recorder.requests()), 3)

    def test_calls(self) -> None:
        """A bad value is False with its reason; another type is a TypeError, and nothing is sent."""
        recorder = Recorder()
        self.server(recorder)
        for name, value in (("interface", "\udcff"), ("rate_mbps", float("inf")), ("site_hash", 1 << 63), ("r2q", -1)):
            with on_stderr() as said:
                self.assertIs(liblqos_python.bakery_add_structural_htb_class(**with_value(CLASS, name, value)), False)
            self.assertIn(name, said.getvalue())
        for name in CLASS:
            with self.assertRaises(TypeError, msg=name):
                liblqos_python.bakery_add_structural_htb_class(**with_value(CLASS, name, object()))
        with on_stderr() as said:
            self.assertFalse(liblqos_python.bakery_add_circuit_htb_class("e", "p", "c", 1, 1, 1, "\ud800", 10))
            self.assertFalse(liblqos_python.bakery_add_circuit_qdisc("e", 1 << 32, 1, 1, []))
            self.assertFalse(liblqos_python.bakery_execute_tc_commands(["\ud800"]))
        self.assertEqual(said.getvalue().count("\n"), 3)
        with self.assertRaises(TypeError):
            liblqos_python.bakery_execute_tc_commands("qdisc show")
        self.assertEqual(recorder.documents, [])

    def test_mapping(self) -> None:
        """Mappings, too."""
        b = BatchedCommands()
        wrong: List[Tuple[Any, ...]] = [
            ("192.0.2.1", "1", "0x0", False),
            ("192.0.2.1", "1:2", "zero", False),
            ("192.0.2.1", "1:2", "0x100000000", False),
            ("\ud800", "1:2", "0", False),
            ("192.0.2.1", "1:2", "0", False, " "),
            ("192.0.2.1", "1:2", "0", False, "c", ""),
        ]
        for arguments in wrong:
            with self.assertRaises(OSError, msg=str(arguments)):
                b.add_ip_mapping(*arguments)
        no: Any = "no"
        with self.assertRaises(TypeError):
            b.add_ip_mapping("192.0.2.1", "1:2", "0", no)
        self.assertEqual(b.length(), 0)
        self.assertEqual(b.submit(), 0)  # without a daemon

    def test_hostile_text(self) -> None:
        """Text arrives as it is, whatever is in it."""
        recorder = Recorder()
        self.server(recorder)
        texts = ['"}]}', "\0\n\r\x7f", "\u2028\u202e", "\U0001f4a9" * 5000, "'; tc qdisc del dev eth0 root", ""]
        for text in texts:
            self.assertTrue(liblqos_python.bakery_add_circuit_htb_class(text, text, text, 0, 0, -1, text, 0))
        got = [r["BakeryAddCircuitHTBClass"] for r in recorder.requests()]
        self.assertEqual([g["comment"] for g in got], texts)
        self.assertEqual([g["interface"] for g in got], texts)

    def test_timeout(self) -> None:
        """A time that is none is said to be none."""
        for text in ("0", "-1", "soon", "nan", "inf"):
            self.use("/nowhere", 1)
            os.environ["LQOSD_TIMEOUT"] = text
            with self.assertRaisesRegex(BadArgument, "LQOSD_TIMEOUT"):
                default_timeout()

    def test_plain(self) -> None:
        """What is shown has no control characters."""
        self.assertEqual(plain("a\n\x1b\u202eé"), "a\\n\\x1b\\u202eé")
