"""What the module sends for the calls of real clients, and what the daemon makes of them."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List

from tests.place import Place, Recorder, cases, on_stderr, recorded

import liblqos_python
from lqosd import recording
from lqosd.siphash import hash_to_i64, hash_to_u64

FIRST = {
    "bakery_clear_prior_settings": "BakeryClearPriorSettings",
    "bakery_mq_setup": "BakeryMqSetup",
    "bakery_add_structural_htb_class": "BakeryAddStructuralHTBClass",
    "bakery_add_circuit_htb_class": "BakeryAddCircuitHTBClass",
    "bakery_add_circuit_qdisc": "BakeryAddCircuitQdisc",
    "bakery_execute_tc_commands": "BakeryExecuteTCCommands",
}


def wire(call: Dict[str, Any]) -> Any:
    """Give the request that a recorded call is on the bus, None if it sends nothing."""
    fn, args = call["fn"], call["args"]
    if "bus" in call:
        fields = dict(call["bus"])
        name = fields.pop("request")
        return {name: fields} if fields else name
    if fn in FIRST:
        return {FIRST[fn]: args} if args else FIRST[fn]
    if fn == "BatchedCommands.add_ip_mapping":
        parsed = call["parsed"]
        fields = {"ip_address": args["ip"], "tc_handle": parsed["tc_handle"], "cpu": parsed["cpu_num"], "upload": args["upload"]}
        for name in ("circuit_id", "device_id"):
            if name in args:
                fields[name] = parsed[name + "_u64"]
        return {"MapIpToFlow": fields}
    return {"BatchedCommands.finish_ip_mappings": "ClearHotCache", "clear_ip_mappings": "ClearIpFlow"}.get(fn)


class RequestsTest(Place):
    """The requests are those that were recorded."""

    def check(self, case: str, name: str, recorder: Recorder) -> None:
        """Play a file to a recorder, and compare."""
        path = recorded(case, name)
        del recorder.documents[:]
        with on_stderr() as said:
            recording.play(path, liblqos_python)
        self.assertEqual(said.getvalue(), "")
        calls = list(recording.calls(path))
        want = [w for w in map(wire, calls) if w is not None]
        if name == "ip.jsonl":  # the mappings are sent where they are submitted
            want.insert(0, want.pop(want.index("ClearIpFlow")))
        got = [r for r in recorder.requests() if r != "LqosdStatus" and "BakeryReportPreflight" not in r]
        self.assertEqual(len(got), len(want), "%s/%s" % (case, name))
        for n, (g, w) in enumerate(zip(got, want)):
            if json.dumps(g, sort_keys=True) != json.dumps(normal(w), sort_keys=True):
                self.fail("%s/%s, request %d:\n got %s\nwant %s" % (case, name, n + 1, str(g)[:500], str(w)[:500]))

    def test_requests(self) -> None:
        """All recordings, each file."""
        recorder = Recorder()
        self.server(recorder)
        for case in cases():
            for name in ("trace.jsonl", "trace-bulk.jsonl", "trace-head.jsonl", "ip.jsonl", "ip-head.jsonl"):
                with self.subTest(case=case, file=name):
                    self.check(case, name, recorder)

    def test_sessions(self) -> None:
        """A batch goes in sessions of at most 1,024, without keys."""
        recorder = Recorder()
        self.server(recorder)
        recording.play(recorded("n1000", "trace-head.jsonl"), liblqos_python)
        batch = [d for d in recorder.documents if "LqosdStatus" not in d["requests"] and "BakeryReportPreflight" not in d["requests"][0]]
        self.assertEqual([len(d["requests"]) for d in batch], [1024, 151])
        self.assertEqual([d for d in batch if "key" in d], [])
        self.assertEqual(batch[0]["requests"][0], "BakeryStart")
        self.assertEqual(batch[-1]["requests"][-1], "BakeryCommit")

    def test_keys(self) -> None:
        """Every call of the first generation has a key of its own."""
        recorder = Recorder()
        self.server(recorder)
        recording.play(recorded("example", "trace.jsonl"), liblqos_python)
        keys = [d["key"] for d in recorder.documents]
        self.assertEqual(len(set(keys)), 73)


def normal(request: Any) -> Any:
    """Give a recorded request with rates as floats, as the module sends them."""
    if isinstance(request, dict):
        return {k: normal(v) for k, v in request.items()}
    return request


class HashTest(Place):
    """Names have the numbers that were recorded."""

    def test_recorded(self) -> None:
        """All names in the recordings."""
        checked = 0
        for case in cases():
            for name in ("trace-head.jsonl", "ip-head.jsonl"):
                for call in recording.calls(recorded(case, name)):
                    for got, want in hashes(call):
                        self.assertEqual(got, want, "%s/%s: %s" % (case, name, call["args"]))
                        checked += 1
        self.assertGreater(checked, 4000)

    def test_known(self) -> None:
        """Values that were given for checking, and texts of every length about a word."""
        self.assertEqual(hash_to_i64("Generated_PN_1"), -2490025898387955496)
        self.assertEqual(hash_to_u64("9"), 7413459454055533065)
        seen = {hash_to_u64("x" * n) for n in range(40)}
        self.assertEqual(len(seen), 40)
        for text in ("", "é", "\U0001f600", "\0", "a" * 7, "a" * 8, "a" * 300):
            self.assertEqual(hash_to_i64(text) % (1 << 64), hash_to_u64(text))
            self.assertTrue(-(1 << 63) <= hash_to_i64(text) < 1 << 63)


def hashes(call: Dict[str, Any]) -> List[Any]:
    """Give pairs of what is made of a call's names, and what was recorded."""
    args = call["args"]
    if call["fn"] == "add_site":
        return [(hash_to_i64(args["site_name"]), call["bus"]["site_hash"])]
    if call["fn"] == "add_circuit":
        return [(hash_to_i64(args["circuit_name"]), call["bus"]["circuit_hash"])]
    if "circuit_id" in args:
        return [(hash_to_u64(args[n]), call["parsed"][n + "_u64"]) for n in ("circuit_id", "device_id")]
    return []


class PlayedTest(Place):
    """The daemon makes of the calls what the client computed."""

    def test_played(self) -> None:
        """Recordings with little in them, in all generations, and their mappings."""
        for case, kind in (("example", "first"), ("stick_flat", "first"), ("tree3_frac", "bulk"), *((c, "second") for c in cases())):
            with self.subTest(case=case, kind=kind):
                trace = recording.TRACES[kind]
                daemon = self.daemon(network=recording.read_network(recorded(case, "")))
                with on_stderr() as said:
                    recording.play(recorded(case, trace.calls_file), liblqos_python)
                    ip = recorded(case, "ip-head.jsonl" if kind == "second" else "ip.jsonl")
                    recording.play(ip, liblqos_python)
                self.assertEqual(said.getvalue(), "")
                diff = recording.compare(kind, recording.read(recorded(case, trace.lines_file)), daemon.tc_lines())
                self.assertEqual(diff[:20], [])
                mapped = {(m.ip_address, m.tc_handle) for m in liblqos_python.list_ip_mappings()}
                asked = sum(c["fn"].endswith("add_ip_mapping") for c in recording.calls(ip))
                self.assertEqual(len(mapped), asked)
                daemon.stop()

    def test_another_client(self) -> None:
        """The comparison sees the lines of another client."""
        lines = recording.read(recorded("example", "linux_tc.txt"))
        other = recording.read(recorded("example_fq_codel", "linux_tc.txt"))
        for kind in recording.TRACES:
            got = lines + "qdisc delete dev eth1 root\n" + lines if kind == "first" else lines
            self.assertEqual(recording.compare(kind, lines, got), [], kind)
            self.assertNotEqual(recording.compare(kind, other, got), [], kind)
        reset = "qdisc delete dev eth1 root\n"
        for got in (other + reset + lines, lines + reset + other, lines, lines + reset, reset + lines):
            self.assertNotEqual(recording.compare("first", lines, got), [])
        self.assertEqual([recording.kind_of(x) for x in (lines + reset + lines, reset + lines, lines)], ["first", "reset", "second"])
        self.assertEqual(recording.compare("reset", lines, reset + lines), [])
        self.assertNotEqual(recording.compare("reset", lines, reset + other), [])

    def test_bad_recordings(self) -> None:
        """What is no recording is said to be none."""
        for text, said in (
            ("{", "line 1"),
            ("[]\n", "no call"),
            ('{"fn":"_add","args":{}}', "no call '_add'"),
            ('{"fn":"bakery_pie","args":{}}', "no call 'bakery_pie'"),
            ('{"fn":"BatchedCommands.__class__","args":{}}', "no call"),
        ):
            path = os.path.join(self.folder, "trace.jsonl")
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            with self.assertRaisesRegex(recording.BadRecording, said):
                recording.play(path, liblqos_python)
        with self.assertRaisesRegex(recording.BadRecording, "nowhere"):
            recording.read_network(os.path.join(self.folder, "nowhere"))
