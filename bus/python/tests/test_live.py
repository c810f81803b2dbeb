"""The module against a daemon: what it says of refusals, restarts and mappings."""

from __future__ import annotations

import os
import threading
from typing import Any, Dict, List, Mapping

from tests.place import Place, on_stderr, program

import liblqos_python
from liblqos_python import Bakery, BatchedCommands, Refused, Unavailable
from lqosd import budget
from lqosd.bus import Connection
from lqosd.process import Network, PrivateDaemon


def network(circuits: int = 3) -> Bakery:
    """Give a batch with one site."""
    b = Bakery()
    b.start_batch()
    b.setup_mq(2, 0)
    b.add_site("tower", "0x1:", "0x1:", 3, 50, 40, 100, 80)
    for i in range(circuits):
        b.add_circuit("c%d" % i, "tower", "0x1:0x3", "0x1:0x3", 4 + i, 1, 1, 20, 10, 1, 1, "192.0.2.%d" % i)
    return b


def status() -> Mapping[str, Any]:
    """Give the daemon's status."""
    with Connection() as connection:
        answer = connection.ask("LqosdStatus")
    assert isinstance(answer, dict)
    found: Dict[str, Any] = answer["LqosdStatus"]
    return found


class BatchTest(Place):
    """Networks."""

    def setUp(self) -> None:
        """Start a daemon."""
        super().setUp()
        self.private = self.daemon()

    def test_commit(self) -> None:
        """A network, and a smaller one; what was left out is gone, mappings with it."""
        network().commit()
        self.assertEqual((status()["tree"]["circuits"], status()["last_seq"]), (3, 1))
        self.assertEqual(len(liblqos_python.list_ip_mappings()), 3)
        network(1).commit()
        self.assertEqual(status()["tree"]["circuits"], 1)
        (mapping,) = liblqos_python.list_ip_mappings()
        self.assertEqual((mapping.ip_address, mapping.prefix_length, mapping.tc_handle, mapping.cpu), ("192.0.2.0", 32, (1, 4), 0))
        self.assertEqual(mapping.circuit_id, liblqos_python.hash_to_u64("c0"))

    def test_refused(self) -> None:
        """Every refused item is named, and nothing of the batch is there."""
        network(1).commit()
        b = network(3)
        b.add_circuit("same", "tower", "0x1:0x3", "0x1:0x3", 4, 1, 1, 2, 2, 1, 1, "")
        b.add_circuit("place", "tower", "0x1:0x3", "0x1:0x3", 9, 1, 1, 2, 2, 1, 1, "not an address")
        with self.assertRaises(Refused) as caught:
            b.commit()
        reasons = "\n".join(caught.exception.reasons)
        for wanted in ("add_circuit 'same': ", "add_circuit 'place': ", "not an address", "commit: "):
            self.assertIn(wanted, reasons)
        self.assertEqual((status()["tree"]["circuits"], status()["last_seq"]), (1, 1))

    def test_two_clients(self) -> None:
        """Two clients at once: each network is taken as a whole, the last one stays."""
        batches = [network(n) for n in (1, 2) * 10]
        threads = [threading.Thread(target=b.commit) for b in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(status()["last_seq"], 20)
        self.assertIn(status()["tree"]["circuits"], (1, 2))

    def test_left_open(self) -> None:
        """A client that goes away before BakeryCommit leaves nothing."""
        network(1).commit()
        with Connection() as connection:
            setup = {"BakeryMqSetup": {"queues_available": 2, "stick_offset": 0}}
            self.assertEqual(connection.exchange([["BakeryStart", setup]]), [["Ack", "Ack"]])
        self.assertEqual((status()["tree"]["circuits"], status()["last_seq"]), (1, 1))

    def test_no_daemon(self) -> None:
        """The batch is kept until there is a daemon."""
        b = network()
        self.private.stop()
        with self.assertRaises(Unavailable):
            b.commit()
        self.private.start()
        b.commit()
        self.assertEqual(status()["tree"]["circuits"], 3)

    def test_preflight(self) -> None:
        """The estimate counts what the batch has, and the daemon hears of it."""
        result = network().estimate_qdisc_budget()
        self.assertIs(result["ok"], True)
        self.assertEqual(result["interfaces"], {"eth0": 10, "eth1": 10})  # mq, 2 htb, 4 leaves, 3 circuits
        self.assertEqual(status()["preflight"], {"ok": True, "message": result["message"]})
        self.private.stop()
        with on_stderr() as said:
            result = network().estimate_qdisc_budget()
        self.assertIn("estimate_qdisc_budget: no daemon", said.getvalue())
        self.assertEqual(result["interfaces"], {"to_internet": 10, "to_network": 10})


class CallTest(Place):
    """Calls of the first generation."""

    def test_restart(self) -> None:
        """A daemon that is killed and started anew between calls, and while one waits."""
        daemon = self.daemon()
        for n in range(3):
            self.assertTrue(liblqos_python.bakery_mq_setup())
            self.assertEqual(status()["last_seq"], n + 1)
            daemon.kill()
            if n < 2:
                daemon.start()
        later = threading.Thread(target=daemon.start)
        later.start()
        self.assertTrue(liblqos_python.bakery_mq_setup())
        later.join()
        self.assertEqual(status()["last_seq"], 4)

    def test_lines(self) -> None:
        """Lines in bulk: all or, with force_mode, those that make sense."""
        self.daemon()
        self.assertTrue(liblqos_python.bakery_mq_setup())
        lines = ["class add dev eth1 parent 1: classid 1:9 htb rate 1mbit", "pie"]
        for force, records in ((False, 1), (True, 2)):
            with on_stderr() as said:
                self.assertFalse(liblqos_python.bakery_execute_tc_commands(lines, force))
            self.assertIn("pie", said.getvalue())
            self.assertEqual(status()["last_seq"], records)

    def test_mappings(self) -> None:
        """Mappings one by one and together, of one and of both directions."""
        self.daemon(network=Network(stick="eth0", queues=4))
        network_of_stick().commit()
        liblqos_python.add_ip_mapping("192.0.2.9", "1:4", "0", False, "c", "d")
        liblqos_python.add_ip_mapping("192.0.2.9", "3:4", "2", True, "c", "d")
        self.assertEqual(handles(), [(1, 4), (3, 4)])
        liblqos_python.delete_ip_mapping("192.0.2.9", True)
        self.assertEqual(handles(), [(1, 4)])
        liblqos_python.add_ip_mapping("192.0.2.9", "3:4", "2", True, "c", "d")
        liblqos_python.delete_ip_mapping("192.0.2.9")
        self.assertEqual(handles(), [])
        b = BatchedCommands()
        b.add_ip_mapping("192.0.2.8", "1:4", "0x0", False)
        b.add_ip_mapping("192.0.2.7", "1:99", "0x0", False)
        b.finish_ip_mappings()
        with self.assertRaisesRegex(Refused, "1 of 3 requests: 192.0.2.7 to 0x1:0x99: "):
            b.submit()
        self.assertEqual(handles(), [(1, 4)])
        liblqos_python.clear_ip_mappings()
        self.assertEqual(handles(), [])
        with self.assertRaisesRegex(Refused, "pie.* is no IP address"):
            liblqos_python.delete_ip_mapping("pie")

    def test_alive(self) -> None:
        """Is it there, and when?"""
        daemon = self.daemon()
        self.assertTrue(liblqos_python.is_lqosd_alive())
        daemon.stop()
        with on_stderr() as said:
            self.assertFalse(liblqos_python.is_lqosd_alive())
        self.assertIn("no daemon", said.getvalue())
        with self.assertRaises(Unavailable):
            liblqos_python.wait_for_bus_ready(0)
        later = threading.Thread(target=daemon.start)
        later.start()
        self.assertTrue(liblqos_python.wait_for_bus_ready(30000))
        later.join()


def network_of_stick() -> Bakery:
    """Give a network on one link."""
    b = Bakery()
    b.start_batch()
    b.setup_mq(2, 2)
    b.add_circuit("c", None, "0x1:", "0x3:", 4, 1, 1, 20, 10, 1, 3, "")
    return b


def handles() -> List[Any]:
    """Give the handles of all mappings."""
    return sorted(m.tc_handle for m in liblqos_python.list_ip_mappings())


class BudgetTest(Place):
    """The estimate, without a daemon."""

    def queue(self, override: str, mbps: float) -> List[Any]:
        """Give a batch of one circuit and one queue."""
        setup = {"BakeryMqSetup": {"queues_available": 1, "stick_offset": 0}}
        fields = {"sqm_override": override, "download_bandwidth_max": mbps, "upload_bandwidth_max": 1.0}
        return ["BakeryStart", setup, {"BakeryAddCircuit": fields}]

    def test_leaves(self) -> None:
        """What leaf a circuit has, per direction."""
        for override, mbps, down, up in (
            ("", 1, (3, 0), (3, 0)),
            ("", 1000, (2, 1), (3, 0)),
            ("fq_codel", 1, (2, 1), (2, 1)),
            ("none/fq_codel", 1, (2, 0), (2, 1)),
            ("/none", 1, (3, 0), (2, 0)),
            ("FQ_CoDel/None", 1, (2, 1), (2, 0)),
        ):
            details = budget.estimate(self.queue(override, mbps), budget.Facts(links=["d", "u"]))["interface_details"]
            counted = [(details[link]["cake_qdiscs"], details[link]["fq_codel_qdiscs"]) for link in ("d", "u")]
            self.assertEqual(counted, [down, up], override)
        # Fast circuits get fq_codel in place of cake alone.
        details = budget.estimate(self.queue("", 1000), budget.Facts(default_sqm="sfq"))["interface_details"]
        self.assertEqual([d["fq_codel_qdiscs"] for d in details.values()], [0, 0])

    def test_limits(self) -> None:
        """Too many qdiscs, and more memory than there is; what is there already isn't counted again."""
        self.assertFalse(budget.estimate([*self.queue("", 1), *self.queue("", 1)[2:] * 60000], budget.Facts(applies=False))["ok"])
        many = [*self.queue("", 1), *self.queue("", 1)[2:] * 100]
        needs = budget.estimate(many, budget.Facts())["estimated_total_memory_bytes"]
        available = budget.memory()["MemAvailable"]
        huge = [*self.queue("", 1), *self.queue("", 1)[2:] * (200 * available // needs)]
        for applies, there, ok in ((True, 0, False), (True, 1 << 30, True), (False, 0, True)):
            result = budget.estimate(huge, budget.Facts(applies=applies, qdiscs_there=there))
            self.assertEqual(result["memory_ok"], ok, (applies, there))
        self.assertTrue(budget.estimate([], budget.Facts())["ok"])

    def test_report(self) -> None:
        """The report has the fields that the bus wants."""
        report = budget.report(budget.estimate(self.queue("", 1), budget.Facts()))
        self.assertEqual(
            set(report),
            {"ok", "message", "safe_budget", "hard_limit", "estimated_total_memory_bytes", "memory_available_bytes"}
            | {"memory_guard_min_available_bytes", "memory_ok", "interfaces"},
        )
        self.assertEqual([i["name"] for i in report["interfaces"]], ["to_network", "to_internet"])


class ProcessTest(Place):
    """Private daemons."""

    def test_leaves_nothing(self) -> None:
        """Neither a process nor a folder, whatever happened."""
        with PrivateDaemon(program()) as daemon:
            folder, pid = daemon.folder, daemon.pid()
        self.assertFalse(os.path.exists(folder))
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)
