"""The calls of the first generation: one request each, True or False.

False always comes with the reason on stderr. The calls share a connection per process. When it is lost, as when the
daemon is started anew, the call waits up to RECONNECT_SECONDS for a daemon and sends its request again, under the same
key, so that it is carried out once.
"""

from __future__ import annotations

import atexit
import sys
import threading
import uuid
from types import MappingProxyType
from typing import Any, Dict, Mapping, Optional, Sequence

from lqosd.bus import (
    Answer,
    BadArgument,
    Connection,
    LqosdError,
    Request,
    Unavailable,
    UnknownOutcome,
    connect_within,
    fail_text,
    name_of,
    plain,
    socket_path,
)
from lqosd.values import number, texts, utf8, whole

RECONNECT_SECONDS = 10.0
SHOWN_LINES = 20


class _Shared:
    """The connection that the calls of the first generation share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Optional[Connection] = None

    def call(self, request: Request) -> Answer:
        """Send a command and give its answer, once more after a lost connection."""
        key = uuid.uuid4().hex
        with self._lock:
            had = self._connection is not None and self._connection.path == socket_path()
            try:
                return self._connect(RECONNECT_SECONDS if had else 0).exchange([[request]], key)[0][0]
            except (UnknownOutcome, Unavailable) as first:
                if isinstance(first, Unavailable) and first.cause != Unavailable.LOST:
                    raise
                try:
                    return self._connect(RECONNECT_SECONDS).exchange([[request]], key)[0][0]
                except Unavailable as again:
                    raise type(first)("%s; and then: %s" % (first, again)) from again

    def _connect(self, seconds: float) -> Connection:
        kept = self._connection
        if kept is not None and (kept.path != socket_path() or not kept.is_usable()):
            self.close()
        if self._connection is None:
            self._connection = connect_within(seconds)
        return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_shared = _Shared()
atexit.register(_shared.close)


def complain(what: str, why: object) -> None:
    """Write a reason to stderr, in one line."""
    print("liblqos_python: %s: %s" % (what, plain(why)), file=sys.stderr, flush=True)


def _carry_out(request: Request) -> bool:
    """Send a command: True if all of it was carried out; False with the reason on stderr."""
    what = name_of(request)
    try:
        answer = _shared.call(request)
    except LqosdError as e:
        complain(what, e)
        return False
    if answer == "Ack":
        return True
    complain(what, why_not(answer))
    return False


def why_not(answer: Answer) -> str:
    """Give the reason that an answer other than Ack is."""
    why = fail_text(answer)
    if why is not None:
        return why
    body = answer[name_of(answer)] if isinstance(answer, Mapping) else None
    if name_of(answer) == "LqosdUnknownOutcome" and isinstance(body, Mapping):
        return "whether it was carried out is not known: %s" % body.get("why")
    if name_of(answer) == "LqosdPartial" and isinstance(body, Mapping):
        refused = body.get("refused")
        lines = [r for r in refused if isinstance(r, Mapping)] if isinstance(refused, list) else []
        shown = ["line %s, %s: %s" % (r.get("line"), r.get("text"), r.get("why")) for r in lines[:SHOWN_LINES]]
        return "all but %s lines were carried out; refused: %s" % (body.get("refused_total"), "; ".join(shown))
    return "an unknown answer: %s" % answer


def bakery_clear_prior_settings() -> bool:
    """Empty the tree on all links. Address mappings stay."""
    return _carry_out("BakeryClearPriorSettings")


def bakery_mq_setup() -> bool:
    """Make the skeleton: queues, root and default classes, as the daemon's configuration says."""
    return _carry_out("BakeryMqSetup")


def bakery_add_structural_htb_class(
    interface: str, parent: str, classid: str, rate_mbps: float, ceil_mbps: float, site_hash: int, r2q: int
) -> bool:
    """Add or change the class of a site on one link. Rates are Mbit/s, handles text like "0x1:0x3"."""
    return _add_class("BakeryAddStructuralHTBClass", "site_hash", site_hash, interface, parent, classid, rate_mbps, ceil_mbps, r2q)


def bakery_add_circuit_htb_class(
    interface: str,
    parent: str,
    classid: str,
    rate_mbps: float,
    ceil_mbps: float,
    circuit_hash: int,
    comment: Optional[str],
    r2q: int,
) -> bool:
    """Add or change the class of a circuit on one link."""
    more = {"comment": comment}
    return _add_class("BakeryAddCircuitHTBClass", "circuit_hash", circuit_hash, interface, parent, classid, rate_mbps, ceil_mbps, r2q, more)


def _add_class(
    request: str,
    hash_name: str,
    hash_value: int,
    interface: str,
    parent: str,
    classid: str,
    rate_mbps: float,
    ceil_mbps: float,
    r2q: int,
    texts_or_none: Mapping[str, Optional[str]] = MappingProxyType({}),
) -> bool:
    try:
        fields: Dict[str, Any] = {
            "interface": utf8("interface", interface),
            "parent": utf8("parent", parent),
            "classid": utf8("classid", classid),
            "rate_mbps": number("rate_mbps", rate_mbps),
            "ceil_mbps": number("ceil_mbps", ceil_mbps),
            hash_name: whole(hash_name, hash_value, 64, signed=True),
            **{name: None if value is None else utf8(name, value) for name, value in texts_or_none.items()},
            "r2q": whole("r2q", r2q, 64),
        }
    except BadArgument as e:
        complain(request, e)
        return False
    return _carry_out({request: fields})


def bakery_add_circuit_qdisc(interface: str, parent_major: int, parent_minor: int, circuit_hash: int, sqm_params: Sequence[str]) -> bool:
    """Add or change the leaf qdisc of a circuit on one link; sqm_params are words of tc(8)."""
    try:
        fields = {
            "interface": utf8("interface", interface),
            "parent_major": whole("parent_major", parent_major, 32),
            "parent_minor": whole("parent_minor", parent_minor, 32),
            "circuit_hash": whole("circuit_hash", circuit_hash, 64, signed=True),
            "sqm_params": texts("sqm_params", sqm_params),
        }
    except BadArgument as e:
        complain("BakeryAddCircuitQdisc", e)
        return False
    return _carry_out({"BakeryAddCircuitQdisc": fields})


def bakery_execute_tc_commands(commands: Sequence[str], force_mode: bool = False) -> bool:
    """Carry out tc(8) lines, without "tc" in front, as one command.

    Without force_mode a line that is refused refuses all of them. With it the others are carried out; the answer is
    False all the same, and stderr has the lines that were refused.
    """
    try:
        fields = {"commands": texts("commands", commands), "force_mode": bool(force_mode)}
    except BadArgument as e:
        complain("BakeryExecuteTCCommands", e)
        return False
    return _carry_out({"BakeryExecuteTCCommands": fields})
