"""The bus of lqosd in JSON, with nothing but Python's own library.

A Connection is one connection to the daemon's unix socket. Its exchange() sends any number of sessions without
waiting between them, and reads the answers while it writes, so that neither side waits for the other. A
Connection serves one thread at a time.

What is known when something goes wrong is in the type of the exception:

    LqosdError              an OSError, and the base of all
      BadArgument           a value that can't be sent; also a ValueError. Nothing was sent
      Unavailable           nothing was carried out: no daemon, no permission, or lost before it was sent
      Refused               the daemon said why not; reasons has every reason
      UnknownOutcome        sent, and the connection was lost before the answer, or the answer makes no sense

Frames, documents and limits are those of docs/bus.md.
"""

from __future__ import annotations

import errno
import json
import os
import selectors
import socket
import struct
import time
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Union

DEFAULT_SOCKET = "/run/lqos/bus"
MAX_PAYLOAD = 64 << 20
MAX_CHUNK = 8192
TIMEOUT = 60.0

_HELLO, _WELCOME = b"LREQ", b"LREP"
_MAX_PATH = 107  # of a unix socket: unix(7)

# A request is its name, or a map of one entry from its name to its fields; answers are the same.
Request = Union[str, Mapping[str, Any]]
Answer = Union[str, Mapping[str, Any]]


class LqosdError(OSError):
    """What every error of these modules is."""


class BadArgument(LqosdError, ValueError):
    """A value that can't be sent. Nothing was sent."""


class Unavailable(LqosdError):
    """Nothing was carried out, because the daemon couldn't be asked. cause is one of the words below."""

    NO_SOCKET, NOBODY, PERMISSION, SILENT = "no socket", "nobody listens", "permission", "silent"
    CUT_OFF, FOREIGN, LOST, OTHER = "cut off", "foreign", "lost", "other"

    def __init__(self, why: str, cause: str = OTHER) -> None:
        """Make the error with its cause."""
        super().__init__(why)
        self.cause = cause


class Refused(LqosdError):
    """The daemon answered Fail. reasons has the reason of every request that it refused."""

    def __init__(self, what: str, reasons: Sequence[str]) -> None:
        """Make the error of an action with its reasons, of which the text shows the first ones."""
        shown = [plain(r) for r in reasons[:_SHOWN]]
        if len(reasons) > _SHOWN:
            shown.append("and %d more" % (len(reasons) - _SHOWN))
        super().__init__("%s: %s" % (what, "; ".join(shown)))
        self.reasons = list(reasons)


class UnknownOutcome(LqosdError):
    """The requests were sent, and whether they were carried out isn't known.

    answers has those of the sessions that were answered, sent how many sessions were sent as a whole. What
    wasn't sent as a whole was certainly not carried out.
    """

    def __init__(self, why: str, answers: Sequence[Sequence[Answer]] = (), sent: int = 0) -> None:
        """Make the error of a connection with what is known."""
        super().__init__(why)
        self.answers = list(answers)
        self.sent = sent


_SHOWN = 20


def plain(text: object) -> str:
    """Give a text for one line of a terminal: what isn't printable is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def socket_path() -> str:
    """Give the path of the bus: that of the environment variable LQOSD_SOCKET, or /run/lqos/bus."""
    return os.environ.get("LQOSD_SOCKET") or DEFAULT_SOCKET


def default_timeout() -> float:
    """Give the seconds after which a silent daemon is given up: LQOSD_TIMEOUT, or 60."""
    text = os.environ.get("LQOSD_TIMEOUT") or str(TIMEOUT)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds < 1e6:
        raise BadArgument("LQOSD_TIMEOUT is %r: want seconds, more than 0" % text)
    return seconds


def fail_text(answer: Answer) -> Optional[str]:
    """Give the reason of a Fail, or None for any other answer."""
    if isinstance(answer, Mapping) and "Fail" in answer:
        return str(answer["Fail"])
    return None


def encode(request_id: int, requests: Sequence[Request], key: Optional[str] = None) -> bytes:
    """Give the frame of a session."""
    document: dict[str, Any] = {"requests": list(requests)}
    if key is not None:
        document["key"] = key
    try:
        payload = json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as e:
        raise BadArgument("a request can't be written as JSON: %s" % e) from e
    if len(payload) > MAX_PAYLOAD:
        raise BadArgument("a session of %d bytes; at most %d are allowed" % (len(payload), MAX_PAYLOAD))
    frame = bytearray(struct.pack("<QQ", request_id, len(payload)))
    for at in range(0, len(payload), MAX_CHUNK):
        chunk = payload[at : at + MAX_CHUNK]
        frame += struct.pack("<I", len(chunk)) + chunk
    return bytes(frame)


class _Garbage(Exception):
    """What came from the socket is no answer."""


class _FrameReader:
    """Takes bytes as they come and gives the frames in them."""

    def __init__(self) -> None:
        self._in = bytearray()
        self._payload = bytearray()
        self._id = 0
        self._size = -1  # of the payload; -1 while the head of a frame is due

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Give request_id and payload of every frame that is complete now."""
        self._in += data
        while True:
            if self._size < 0:
                if len(self._in) < 16:
                    return
                self._id, self._size = struct.unpack_from("<QQ", self._in)
                del self._in[:16]
                if self._size > MAX_PAYLOAD:
                    raise _Garbage("a frame of %d bytes" % self._size)
            if not self._chunks(self._size):
                return
            payload = bytes(self._payload)
            self._size, self._payload = -1, bytearray()
            yield self._id, payload

    def _chunks(self, size: int) -> bool:
        """Take chunks as far as they have come; True once the payload is complete."""
        at = 0
        while len(self._payload) < size and len(self._in) - at >= 4:
            (length,) = struct.unpack_from("<I", self._in, at)
            if not 1 <= length <= min(MAX_CHUNK, size - len(self._payload)):
                raise _Garbage("a chunk of %d bytes" % length)
            if len(self._in) - at < 4 + length:
                break
            self._payload += self._in[at + 4 : at + 4 + length]
            at += 4 + length
        del self._in[:at]
        return len(self._payload) == size


def _decode(payload: bytes, asked: int) -> List[Answer]:
    """Read a document of answers to as many requests."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError) as e:
        raise _Garbage("no JSON: %s" % e) from e
    answers = document.get("responses") if isinstance(document, dict) else None
    if not isinstance(answers, list):
        raise _Garbage("a document without responses")
    for a in answers:
        if not isinstance(a, str) and not (isinstance(a, dict) and len(a) == 1):
            raise _Garbage("an answer that is neither text nor a map of one entry")
    if len(answers) == 1 and asked > 1 and fail_text(answers[0]) is not None:
        return answers * asked  # a document that couldn't be read is answered by one Fail
    if len(answers) != asked:
        raise _Garbage("%d answers to %d requests" % (len(answers), asked))
    return answers


class Connection:
    """One connection to the daemon."""

    def __init__(self, path: Optional[str] = None, timeout: Optional[float] = None) -> None:
        """Connect to the bus at path (default: socket_path()).

        timeout is how many seconds nothing may move, neither sent nor received (default: default_timeout()).
        Raises Unavailable.
        """
        self.path = socket_path() if path is None else path
        self.timeout = default_timeout() if timeout is None else timeout
        self.pid = os.getpid()
        self._next_id = 1
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._open()
        except BaseException:
            self._socket.close()
            raise

    def _open(self) -> None:
        self._socket.settimeout(self.timeout)
        try:
            if len(os.fsencode(self.path)) > _MAX_PATH:
                raise Unavailable("the path of a unix socket has at most %d bytes: %s" % (_MAX_PATH, plain(self.path)))
            self._socket.connect(self.path)
        except socket.timeout as e:
            raise Unavailable("no daemon takes the connection at %s within %g s" % (plain(self.path), self.timeout), Unavailable.SILENT) from e
        except (OSError, ValueError) as e:
            if isinstance(e, LqosdError):
                raise
            raise _no_connection(self.path, e) from e
        welcome = b""
        try:
            self._socket.sendall(_HELLO)
            while len(welcome) < len(_WELCOME):
                part = self._socket.recv(len(_WELCOME) - len(welcome))
                if not part:
                    break
                welcome += part
        except socket.timeout as e:
            raise Unavailable("who listens at %s says nothing for %g s" % (plain(self.path), self.timeout), Unavailable.SILENT) from e
        except OSError as e:
            if e.errno not in (errno.EPIPE, errno.ECONNRESET):
                raise Unavailable("no greeting from %s: %s" % (plain(self.path), e)) from e
        if not welcome:
            raise Unavailable(
                "the daemon at %s closed the connection at once: uid %d may not speak (only root, the daemon's own user "
                "and the socket's group may), or it has its most connections already" % (plain(self.path), os.geteuid()),
                Unavailable.CUT_OFF,
            )
        if welcome != _WELCOME:
            raise Unavailable("who listens at %s is no lqosd: it greets with %r" % (plain(self.path), welcome), Unavailable.FOREIGN)
        self._socket.setblocking(False)

    def close(self) -> None:
        """Close the connection. Once is enough, twice no error."""
        self._socket.close()

    def __enter__(self) -> Connection:
        """Give the connection itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def is_usable(self) -> bool:
        """Tell whether the connection belongs to this process and the daemon hasn't ended it."""
        if self._socket.fileno() < 0 or self.pid != os.getpid():
            return False
        try:
            self._socket.recv(1)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        return False  # the end, or a byte that nobody asked for

    def ask(self, request: Request) -> Answer:
        """Send one request and give its answer. Raises Refused where that is a Fail, and what exchange does."""
        answer = self.exchange([[request]])[0][0]
        why = fail_text(answer)
        if why is not None:
            raise Refused(name_of(request), [why])
        return answer

    def exchange(self, sessions: Sequence[Sequence[Request]], key: Optional[str] = None) -> List[List[Answer]]:
        """Send sessions, all without waiting, and give the answers, one list per session.

        A Fail is an answer. A key belongs to one session: with it there is only one. Raises BadArgument before anything
        is sent, Unavailable and UnknownOutcome; the connection is closed then.
        """
        if key is not None and len(sessions) != 1:
            raise BadArgument("a key belongs to one session")
        first = self._next_id
        frames = [encode(first + i, s, key) for i, s in enumerate(sessions)]
        self._next_id += len(sessions)
        transfer = _Transfer(self._socket, frames, [len(s) for s in sessions], first)
        try:
            return transfer.run(self.timeout)
        except BaseException:
            self.close()
            raise


class _Transfer:
    """Frames on their way to the daemon, and its answers."""

    def __init__(self, sock: socket.socket, frames: List[bytes], asked: List[int], first: int) -> None:
        self._socket = sock
        self._frames = frames
        self._asked = asked
        self._first = first
        self._sent = 0  # whole frames
        self._offset = 0  # in the one after them
        self._broken: Optional[OSError] = None  # nothing more can be sent
        self._reader = _FrameReader()
        self._answers: List[List[Answer]] = []

    def run(self, timeout: float) -> List[List[Answer]]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while len(self._answers) < len(self._frames):
                if not self._is_sending():
                    selector.modify(self._socket, selectors.EVENT_READ)
                ready = selector.select(timeout)
                if not ready:
                    raise self._lost("nothing moved for %g s" % timeout)
                if ready[0][1] & selectors.EVENT_WRITE and self._is_sending():
                    self._send()
                if ready[0][1] & selectors.EVENT_READ:
                    self._receive()
        return self._answers

    def _is_sending(self) -> bool:
        return self._broken is None and self._sent < len(self._frames)

    def _send(self) -> None:
        try:
            while self._sent < len(self._frames):
                frame = memoryview(self._frames[self._sent])[self._offset :]
                self._offset += self._socket.send(frame)
                if self._offset < len(self._frames[self._sent]):
                    return
                self._sent, self._offset = self._sent + 1, 0
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as e:  # what was answered before can still be read
            self._broken = e

    def _receive(self) -> None:
        try:
            data = self._socket.recv(1 << 18)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as e:
            raise self._lost(str(self._broken or e)) from e
        if not data:
            raise self._lost("the daemon closed the connection")
        try:
            for request_id, payload in self._reader.feed(data):
                at = len(self._answers)
                if at >= self._sent or request_id != self._first + at:
                    raise _Garbage("an answer with number %d, which was not due" % request_id)
                self._answers.append(_decode(payload, self._asked[at]))
        except _Garbage as e:
            raise self._lost("the answer makes no sense: %s" % e) from e

    def _lost(self, why: str) -> LqosdError:
        if self._sent == 0:
            return Unavailable("%s, before it had the whole request: nothing was carried out" % why, Unavailable.LOST)
        return UnknownOutcome(
            "%s after %d of %d answers: whether the rest was carried out is not known" % (why, len(self._answers), len(self._frames)),
            self._answers,
            self._sent,
        )


def _no_connection(path: str, e: Exception) -> Unavailable:
    """Say why there is no connection, and what that means."""
    code = e.errno if isinstance(e, OSError) else None
    shown = plain(path)
    if code == errno.ENOENT:
        return Unavailable("no daemon: there is no socket %s" % shown, Unavailable.NO_SOCKET)
    if code == errno.ECONNREFUSED:
        return Unavailable("no daemon: nobody listens at %s" % shown, Unavailable.NOBODY)
    if code in (errno.EACCES, errno.EPERM):
        return Unavailable("uid %d may not open %s: it takes root or the socket's group" % (os.geteuid(), shown), Unavailable.PERMISSION)
    if code == errno.EAGAIN:
        return Unavailable("the daemon at %s takes no more connections at the moment" % shown, Unavailable.SILENT)
    return Unavailable("no connection to %s: %s" % (shown, e))


def name_of(request: Request) -> str:
    """Give the name of a request or an answer."""
    return request if isinstance(request, str) else next(iter(request), "")


def connect_within(seconds: float, path: Optional[str] = None, timeout: Optional[float] = None) -> Connection:
    """Connect, and keep trying for so many seconds while no daemon is there. Raises Unavailable."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return Connection(path, timeout)
        except Unavailable as e:
            if e.cause not in (Unavailable.NO_SOCKET, Unavailable.NOBODY) or time.monotonic() >= deadline:
                raise
            time.sleep(0.05)
