"""What the tests run in: the daemon's program, a private daemon, and servers that misbehave."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import struct
import sys
import tempfile
import threading
import unittest
from typing import Any, Callable, Iterator, List, Optional, Tuple

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if TOP not in sys.path:
    sys.path.insert(0, TOP)

from lqosd.process import PrivateDaemon, environment, find_program

# Tests go to folders of their own: a relative path is of where they were started.
GIVEN = os.path.abspath(os.environ["LQOSD_BIN"]) if os.environ.get("LQOSD_BIN") else None
GOLDEN = os.path.join(os.path.dirname(os.path.dirname(TOP)), "testdata", "golden")


def program() -> str:
    """Give the daemon's program: LQOSD_BIN, or one that is found. Without one the tests fail."""
    found = find_program(GIVEN)
    if found is None:
        raise AssertionError("no lqosd: make build, and name it in LQOSD_BIN")
    return found


def cases() -> List[str]:
    """Give the names of the recordings."""
    names = sorted(n for n in os.listdir(GOLDEN) if os.path.isdir(os.path.join(GOLDEN, n)))
    assert names, "no recordings in " + GOLDEN
    return names


def recorded(case: str, name: str) -> str:
    """Give the path of a file of a recording."""
    return os.path.join(GOLDEN, case, name)


@contextlib.contextmanager
def on_stderr() -> Iterator[io.StringIO]:
    """Collect what is written to stderr."""
    text = io.StringIO()
    with contextlib.redirect_stderr(text):
        yield text


NOBODY = 65534


@contextlib.contextmanager
def as_nobody(group: int = NOBODY) -> Iterator[None]:
    """Be a user without rights, if this is root; who isn't root has none anyway."""
    if os.geteuid() != 0:
        yield
        return
    groups, gid = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(group)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


class Place(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self) -> None:
        """Make the folder."""
        self.folder = tempfile.mkdtemp(prefix="lqosd-test-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def daemon(self, **options: Any) -> PrivateDaemon:
        """Start a private daemon until the test ends, and make its bus the default."""
        daemon = PrivateDaemon(program(), **options)
        daemon.__enter__()
        self.addCleanup(daemon.__exit__)
        self.use(daemon.socket)
        return daemon

    def use(self, path: str, timeout: float = 30) -> None:
        """Make path the default bus until the test ends."""
        variables = environment(LQOSD_SOCKET=path, LQOSD_TIMEOUT=str(timeout))
        variables.__enter__()
        self.addCleanup(variables.__exit__, None, None, None)

    def server(self, serve: Callable[[Peer], None], timeout: float = 30) -> Server:
        """Start a server that treats every connection by serve, until the test ends, and make it the default bus."""
        server = Server(os.path.join(self.folder, "fake"), serve)
        self.addCleanup(server.close)
        self.use(server.path, timeout)
        return server


class Peer:
    """A connection as a server sees it."""

    def __init__(self, sock: socket.socket) -> None:
        """Take an accepted socket."""
        self.socket = sock
        self._buffer = bytearray()

    def take(self, n: int) -> bytes:
        """Read n bytes; EOFError at the end."""
        while len(self._buffer) < n:
            part = self.socket.recv(1 << 18)
            if not part:
                raise EOFError
            self._buffer += part
        taken = bytes(self._buffer[:n])
        del self._buffer[:n]
        return taken

    def greet(self, welcome: bytes = b"LREP") -> None:
        """Answer the greeting."""
        assert self.take(4) == b"LREQ"
        self.socket.sendall(welcome)

    def session(self) -> Tuple[int, Any]:
        """Read a session: its number and its document."""
        number, size = struct.unpack("<QQ", self.take(16))
        payload = b""
        while len(payload) < size:
            (length,) = struct.unpack("<I", self.take(4))
            assert 1 <= length <= 8192, length
            payload += self.take(length)
        assert len(payload) == size
        return number, json.loads(payload)

    def answer(self, number: int, *answers: Any) -> None:
        """Send the answers to a session."""
        self.socket.sendall(frame(number, json.dumps({"responses": list(answers)}).encode()))

    def reset(self) -> None:
        """End the connection at once."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)


def frame(number: int, payload: bytes) -> bytes:
    """Give a frame."""
    data = struct.pack("<QQ", number, len(payload))
    for at in range(0, len(payload), 8192):
        chunk = payload[at : at + 8192]
        data += struct.pack("<I", len(chunk)) + chunk
    return data


class Server:
    """Listens, and treats every connection in a thread of its own."""

    def __init__(self, path: str, serve: Callable[[Peer], None]) -> None:
        """Begin to listen."""
        self.path = path
        self.connections = 0
        self.error: Optional[BaseException] = None
        self._serve = serve
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(16)
        self._sockets: List[socket.socket] = []
        self._threads: List[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(sock)
            thread = threading.Thread(target=self._treat, args=(sock,))
            self._threads.append(thread)
            thread.start()

    def _treat(self, sock: socket.socket) -> None:
        try:
            self._serve(Peer(sock))
        except (EOFError, OSError):
            pass
        except BaseException as e:
            self.error = e
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End everything, and raise what a treatment raised."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(30)
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(30)
        for sock in [self._listener, *self._sockets]:
            sock.close()
        if self.error is not None:
            raise self.error


class Recorder:
    """A server's treatment that acknowledges everything and keeps it."""

    def __init__(self, answer: Callable[[Any], Any] = lambda _: "Ack") -> None:
        """Begin with nothing; answer gives the answer to a request."""
        self.documents: List[Any] = []
        self._answer = answer

    def __call__(self, peer: Peer) -> None:
        """Serve a connection."""
        peer.greet()
        while True:
            number, document = peer.session()
            self.documents.append(document)
            peer.answer(number, *(self._answer(r) for r in document["requests"]))

    def requests(self) -> List[Any]:
        """Give all requests, in order."""
        return [r for d in self.documents for r in d["requests"]]
