"""Servers that break off, lie, answer too little or nothing: nothing hangs, and nobody guesses."""

from __future__ import annotations

import json
import os
import socket
import struct
import threading
from typing import Any, Callable, List
from unittest import mock

from tests.place import Peer, Place, Recorder, Server, as_nobody, frame, on_stderr

import liblqos_python
from liblqos_python import Bakery, BatchedCommands, LqosdError, Refused, Unavailable, UnknownOutcome
from lqosd.bus import Connection, encode


def batch(circuits: int = 1, padding: str = "") -> Bakery:
    """Give a batch with a site and circuits."""
    b = Bakery()
    b.start_batch()
    b.setup_mq(2, 0)
    b.add_site("site", "0x1:", "0x1:", 3, 1, 1, 2, 2)
    for i in range(circuits):
        b.add_circuit("circuit %d" % i, "site", "0x1:0x3", "0x1:0x3", 4 + i, 1, 1, 2, 2, 1, 1, padding)
    return b


class GreetingTest(Place):
    """Before anything is sent, nothing was carried out."""

    def refuses(self, serve: Callable[[Peer], None], cause: str, timeout: float = 30) -> None:
        """Want Unavailable with a cause, of a batch and of a call."""
        self.server(serve, timeout)
        with self.assertRaises(Unavailable) as caught:
            batch().commit()
        self.assertEqual(caught.exception.cause, cause)
        with on_stderr() as said:
            self.assertIs(liblqos_python.bakery_mq_setup(), False)
        self.assertIn(str(caught.exception), said.getvalue())

    def test_closed(self) -> None:
        """Cut off before the greeting, as who may not speak is."""
        self.refuses(lambda peer: None, Unavailable.CUT_OFF)

    def test_wrong_magic(self) -> None:
        """Another greeting."""
        self.refuses(lambda peer: peer.greet(b"HTTP"), Unavailable.FOREIGN)

    def test_no_waiting(self) -> None:
        """Who waits for a daemon doesn't wait for another program to become one."""
        server = self.server(lambda peer: peer.greet(b"HTTP"))
        with self.assertRaises(Unavailable):
            liblqos_python.wait_for_bus_ready(30000)
        self.assertEqual(server.connections, 1)

    def test_half_magic(self) -> None:
        """Half of the greeting, and the end."""
        self.refuses(lambda peer: peer.greet(b"LR"), Unavailable.FOREIGN)

    def test_silent(self) -> None:
        """No greeting."""
        self.refuses(lambda peer: self.assertTrue(peer.take(1 << 20)), Unavailable.SILENT, timeout=0.1)

    def test_no_daemon(self) -> None:
        """Every way in which nobody is there."""
        plain_file, left = os.path.join(self.folder, "file"), os.path.join(self.folder, "left")
        with open(plain_file, "w", encoding="utf-8"):
            pass
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(left)
        for path, cause in (
            (os.path.join(self.folder, "none"), Unavailable.NO_SOCKET),
            (plain_file, Unavailable.NOBODY),
            (left, Unavailable.NOBODY),
            (os.path.join(self.folder, "x" * 120), Unavailable.OTHER),
            (os.path.join(plain_file, "bus"), Unavailable.OTHER),
        ):
            with self.assertRaises(Unavailable) as caught:
                Connection(path)
            self.assertEqual(caught.exception.cause, cause, path)
            self.assertNotIn("\n", str(caught.exception))
        with self.assertRaises(Unavailable):
            Connection("a\0b")

    def test_not_allowed(self) -> None:
        """A socket of somebody else's."""
        os.chmod(self.server(Recorder()).path, 0)
        with as_nobody(), self.assertRaises(Unavailable) as caught:
            batch().commit()
        self.assertEqual(caught.exception.cause, Unavailable.PERMISSION)


class BatchTest(Place):
    """A batch as it is sent."""

    def test_begins_anew(self) -> None:
        """start_batch drops what was collected, and commit wants it."""
        recorder = Recorder()
        self.server(recorder)
        b = batch(5)
        b.start_batch()
        b.commit()
        self.assertEqual(recorder.requests(), ["BakeryStart", "BakeryCommit"])


class BrokenAnswerTest(Place):
    """After it was sent, an answer that doesn't come or makes no sense leaves the outcome unknown."""

    def unknown(self, reply: Callable[[Peer, int, Any], Any], said: str, timeout: float = 30) -> UnknownOutcome:
        """Want UnknownOutcome of a batch."""

        def serve(peer: Peer) -> None:
            peer.greet()
            number, document = peer.session()
            reply(peer, number, document)

        server = self.server(serve, timeout)
        b = batch()
        with self.assertRaisesRegex(UnknownOutcome, said) as caught:
            b.commit()
        server.close()
        os.unlink(server.path)
        recorder = Recorder()
        self.server(recorder)
        b.commit()  # it still has what it had
        self.assertEqual([r if isinstance(r, str) else list(r)[0] for r in recorder.requests()],
                         ["BakeryStart", "BakeryMqSetup", "BakeryAddSite", "BakeryAddCircuit", "BakeryCommit"])
        return caught.exception

    def test_closes(self) -> None:
        """The end instead of an answer."""
        self.unknown(lambda peer, number, document: peer.reset(), "closed the connection after 0 of 1")

    def test_closes_in_frame(self) -> None:
        """The end in the middle of every part of an answer."""
        whole = frame(1, json.dumps({"responses": ["Ack"] * 5}).encode())
        for n in (1, 15, 16, 18, 20, 21, len(whole) - 1):
            with self.subTest(bytes=n):
                self.unknown(lambda peer, number, document: peer.socket.sendall(whole[:n]), "closed the connection")
                os.unlink(os.path.join(self.folder, "fake"))

    def test_nonsense(self) -> None:
        """Answers that break the rules of frames or documents."""
        for payload, said in (
            (struct.pack("<QQ", 1, 1 << 40), "a frame of 1099511627776 bytes"),
            (struct.pack("<QQI", 1, 100, 0), "a chunk of 0 bytes"),
            (struct.pack("<QQI", 1, 100, 101), "a chunk of 101 bytes"),
            (struct.pack("<QQI", 1, 1 << 20, 8193), "a chunk of 8193 bytes"),
            (frame(7, b'{"responses":["Ack"]}'), "number 7"),
            (frame(1, b"\xa1"), "no JSON"),
            (frame(1, b"[" * 100000), "no JSON"),
            (frame(1, b'{"responses":[' + b"1" * 100000 + b"]}"), "answer|JSON"),
            (frame(1, b"[]"), "without responses"),
            (frame(1, b'{"responses":{}}'), "without responses"),
            (frame(1, b'{"responses":["Ack"]}'), "1 answers to 5 requests"),
            (frame(1, b'{"responses":[]}'), "0 answers to 5"),
            (frame(1, b'{"responses":["Ack","Ack","Ack","Ack","Ack","Ack"]}'), "6 answers to 5"),
            (frame(1, b'{"responses":["Ack","Ack","Ack","Ack",7]}'), "neither text"),
            (frame(1, b'{"responses":["Ack","Ack","Ack","Ack",{"a":1,"b":2}]}'), "neither text"),
            (frame(1, b""), "no JSON"),
        ):
            with self.subTest(said=said):
                self.unknown(lambda peer, number, document: peer.socket.sendall(payload), said)
                os.unlink(os.path.join(self.folder, "fake"))

    def test_says_nothing(self) -> None:
        """No answer within the time."""
        self.unknown(lambda peer, number, document: peer.take(1), "nothing moved for 3 s", timeout=3)  # in which a busy machine greets

    def test_unknown_of_the_server(self) -> None:
        """The server itself doesn't know."""
        why = {"LqosdUnknownOutcome": {"seq": 7, "why": "the disk"}}
        self.unknown(lambda peer, number, document: peer.answer(number, "Ack", "Ack", "Ack", "Ack", why), "the disk")

    def test_mappings(self) -> None:
        """Mappings are kept as well."""
        self.server(lambda peer: peer.greet())
        b = BatchedCommands()
        b.add_ip_mapping("192.0.2.1", "0x1:0x4", "0x0", False)
        with self.assertRaises(LqosdError):
            b.submit()
        self.assertEqual(b.length(), 1)


class PartlySentTest(Place):
    """A batch whose BakeryCommit wasn't sent as a whole was certainly not committed."""

    def test_closes_before_the_commit(self) -> None:
        """The server reads one of many sessions, and closes."""

        def serve(peer: Peer) -> None:
            peer.greet()
            number, document = peer.session()
            peer.answer(number, *["Ack"] * len(document["requests"]))
            peer.reset()

        self.server(serve)
        with self.assertRaisesRegex(Unavailable, "nothing was committed"):
            batch(8000, "x" * 2000).commit()

    def test_answers_before_the_question(self) -> None:
        """An answer to what wasn't sent yet is none, however right it looks."""
        sizes = [1024] * 7 + [8004 - 7 * 1024]
        ended = threading.Event()

        def serve(peer: Peer) -> None:
            peer.greet()
            for number, size in enumerate(sizes, 1):
                peer.answer(number, *["Ack"] * size)
            ended.wait(30)

        self.server(serve)
        with self.assertRaisesRegex(LqosdError, "not due"):
            batch(8000, "x" * 2000).commit()
        ended.set()

    def test_closes_before_all_of_one(self) -> None:
        """A session that wasn't sent as a whole was not carried out."""
        server = self.server(lambda peer: peer.greet())
        with Connection(server.path) as connection, self.assertRaises(Unavailable) as caught:
            connection.exchange([[{"Pad": "x" * (16 << 20)}]])
        self.assertEqual(caught.exception.cause, Unavailable.LOST)


class RefusedTest(Place):
    """Fail has its reasons."""

    def test_commit(self) -> None:
        """Every refused item is named, and the text stays short."""

        def answer(request: Any) -> Any:
            return {"Fail": "no\n\x1b[31m" + str(request)[:20]} if "BakeryAddCircuit" in request or request == "BakeryCommit" else "Ack"

        self.server(Recorder(answer))
        b = batch(100)
        with self.assertRaises(Refused) as caught:
            b.commit()
        reasons = caught.exception.reasons
        self.assertEqual(len(reasons), 101)
        self.assertTrue(reasons[99].startswith("add_circuit 'circuit 99': no\n"), reasons[99])
        self.assertIn("nothing was committed", str(caught.exception))
        self.assertIn("and 81 more", str(caught.exception))
        self.assertNotRegex(str(caught.exception), "[\n\x1b]")
        with self.assertRaisesRegex(LqosdError, "without start_batch"):
            b.commit()

    def test_one_fail_for_all(self) -> None:
        """A document that couldn't be read is answered by one Fail."""

        def serve(peer: Peer) -> None:
            peer.greet()
            number, _ = peer.session()
            peer.answer(number, {"Fail": "the document"})
            peer.take(1)

        self.server(serve)
        with self.assertRaisesRegex(Refused, "commit: the document"):
            batch().commit()

    def test_mappings(self) -> None:
        """The others were taken."""
        self.server(Recorder(lambda r: {"Fail": "no class"} if "192.0.2.2" in str(r) else "Ack"))
        b = BatchedCommands()
        for n in range(1, 4):
            b.add_ip_mapping("192.0.2.%d" % n, "0x1:0x4", "0x0", False)
        with self.assertRaisesRegex(Refused, "1 of 3 requests: 192.0.2.2 to 0x1:0x4: no class"):
            b.submit()
        self.assertEqual(b.length(), 0)

    def test_calls(self) -> None:
        """A call says why, in one line."""
        for answer, said in (
            ({"Fail": "because\nof\x1b[1m it"}, r"because\nof\x1b[1m it"),
            ({"LqosdPartial": {"seq": 3, "refused": [{"line": 2, "text": "x", "why": "bad"}], "refused_total": 1}}, "line 2, x: bad"),
            ({"LqosdPartial": 7}, "unknown answer"),
            ({"LqosdUnknownOutcome": {"seq": 3, "why": "disk"}}, "not known: disk"),
            ("Nack", "unknown answer: Nack"),
        ):
            server = self.server(Recorder(lambda _: answer))
            with on_stderr() as err:
                self.assertIs(liblqos_python.bakery_execute_tc_commands(["x"], True), False)
            self.assertIn(said, err.getvalue())
            self.assertEqual(err.getvalue().count("\n"), 1)
            server.close()
            os.unlink(server.path)

    def test_lists(self) -> None:
        """A list of mappings that is none."""
        for answer in ("Ack", {"MappedIps": 7}, {"MappedIps": [{}]}, {"MappedIps": ["x"]}, {"MappedIps": [{"tc_handle": "x"}]}, {"MappedIps": [{"tc_handle": 1e400}]}):
            server = self.server(Recorder(lambda _: answer))
            with self.assertRaises(UnknownOutcome):
                liblqos_python.list_ip_mappings()
            server.close()
            os.unlink(server.path)


class RetryTest(Place):
    """Calls of the first generation survive a lost connection."""

    def test_same_key(self) -> None:
        """The connection is lost before the answer: the request comes again, once, under its key."""
        seen: List[Any] = []

        def serve(peer: Peer) -> None:
            peer.greet()
            while True:
                number, document = peer.session()
                seen.append(document)
                if len(seen) == 2:
                    return
                peer.answer(number, "Ack")

        self.server(serve)
        for _ in range(3):
            self.assertTrue(liblqos_python.bakery_mq_setup())
        self.assertEqual(len(seen), 4)
        self.assertEqual(seen[1], seen[2])
        self.assertEqual(len({d["key"] for d in seen}), 3)

    def test_gives_up(self) -> None:
        """Lost twice is unknown."""

        def serve(peer: Peer) -> None:
            peer.greet()
            peer.session()

        server = self.server(serve)
        with on_stderr() as said:
            self.assertFalse(liblqos_python.bakery_mq_setup())
        self.assertIn("not known", said.getvalue())
        self.assertEqual(server.connections, 2)

    def test_closed_while_idle(self) -> None:
        """A connection that ended between two calls costs nothing."""
        ended = threading.Event()

        def serve(peer: Peer) -> None:
            peer.greet()
            number, _ = peer.session()
            peer.answer(number, "Ack")
            peer.reset()
            ended.set()

        server = self.server(serve)
        self.assertTrue(liblqos_python.bakery_mq_setup())
        self.assertTrue(ended.wait(30))
        self.assertTrue(liblqos_python.bakery_mq_setup())
        self.assertEqual(server.connections, 2)

    def test_closed_while_sending(self) -> None:
        """Neither does one that ends after it was found usable, before the request is sent."""
        ended = threading.Event()

        def serve(peer: Peer) -> None:
            peer.greet()
            number, _ = peer.session()
            peer.answer(number, "Ack")
            peer.reset()
            ended.set()

        server = self.server(serve)
        self.assertTrue(liblqos_python.bakery_mq_setup())
        self.assertTrue(ended.wait(30))
        with mock.patch.object(Connection, "is_usable", lambda connection: connection._socket.fileno() >= 0):
            self.assertTrue(liblqos_python.bakery_mq_setup())
        self.assertEqual(server.connections, 2)

    def test_another_bus(self) -> None:
        """Another LQOSD_SOCKET counts from the next call on, also while the first daemon is there."""
        first, second = Recorder(), Recorder()
        self.server(first)
        self.assertTrue(liblqos_python.bakery_mq_setup())
        other = Server(os.path.join(self.folder, "other"), second)
        self.addCleanup(other.close)
        self.use(other.path)
        self.assertTrue(liblqos_python.bakery_mq_setup())
        self.assertEqual((len(first.documents), len(second.documents)), (1, 1))


class FloodTest(Place):
    """Much is sent and received at once, and neither side waits for the other."""

    def test_large_answers(self) -> None:
        """Answers that are larger than the questions, to a client that still sends."""
        filler = {"Fail": "x" * 4000}
        server = self.server(Recorder(lambda _: filler))
        with Connection(server.path) as connection:
            answers = connection.exchange([["Ping", {"Pad": "y" * 3000}] for _ in range(2000)])
        self.assertEqual(len(answers), 2000)
        self.assertEqual(answers[1999], [filler, filler])

    def test_byte_by_byte(self) -> None:
        """An answer in pieces of one byte."""

        def serve(peer: Peer) -> None:
            peer.greet()
            number, _ = peer.session()
            for byte in frame(number, b'{"responses":["Ack"]}'):
                peer.socket.send(bytes([byte]))

        server = self.server(serve)
        with Connection(server.path) as connection:
            self.assertEqual(connection.ask("Ping"), "Ack")

    def test_too_large(self) -> None:
        """A session that the daemon would not take isn't begun, nor two under one key."""
        with Connection(self.server(Recorder()).path) as connection, self.assertRaisesRegex(ValueError, "one session"):
            connection.exchange([["Ping"], ["Ping"]], "key")
        with self.assertRaisesRegex(ValueError, "at most 67108864"):
            encode(1, [{"x": "y" * (64 << 20)}])
