"""Batches: a whole network with Bakery, address mappings with BatchedCommands.

Both collect requests, send them in sessions of at most MAX_SESSION over a connection of their own, without waiting in
between, and raise what lqosd.bus says. After Unavailable or UnknownOutcome they still hold what they held: calling
commit() or submit() again is safe, because both say what is wanted, not what to change. After Refused, as after
success, they are empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from lqosd import budget
from lqosd.bus import Answer, BadArgument, Connection, LqosdError, Refused, Request, Unavailable, UnknownOutcome, connect_within, name_of
from lqosd.calls import complain, why_not
from lqosd.siphash import hash_to_i64, hash_to_u64
from lqosd.values import handle, hexadecimal, single, truth, utf8, whole

MAX_SESSION = 1024
"""How many requests a session has at most, as other clients of the bus have it."""


def sessions_of(requests: Sequence[Request]) -> List[Sequence[Request]]:
    """Cut requests into sessions."""
    return [requests[at : at + MAX_SESSION] for at in range(0, len(requests), MAX_SESSION)]


def _refusals(requests: Sequence[Request], answers: Sequence[Sequence[Answer]], labels: Sequence[str]) -> Iterator[str]:
    """Give the reason of every request whose answer isn't Ack."""
    flat = [a for session in answers for a in session]
    for request, answer, label in zip(requests, flat, labels):
        if answer != "Ack":
            yield "%s: %s" % (label or name_of(request), why_not(answer))


class Bakery:
    """The whole wanted network, made known at once.

    start_batch(), setup_mq(), add_site() and add_circuit() for everything there is, parents first, then commit(). What
    a batch leaves out is removed. Hashes are made of the names; handles are text, "0x1:0x3"; bandwidths are Mbit/s.
    """

    def __init__(self) -> None:
        """Make an empty one. Nothing is sent before commit()."""
        self._queue: List[Request] = []
        self._labels: List[str] = []

    def start_batch(self) -> None:
        """Begin anew; what was collected is dropped."""
        self._queue, self._labels = [], []
        self._add("BakeryStart", "start_batch")

    def setup_mq(self, queues_available: int, stick_offset: int) -> None:
        """Set the queues of a direction, and on one link the offset of the upload's; 0 on two links."""
        fields = {
            "queues_available": whole("queues_available", queues_available, 32),
            "stick_offset": whole("stick_offset", stick_offset, 32),
        }
        self._add({"BakeryMqSetup": fields}, "setup_mq")

    def add_site(
        self,
        site_name: str,
        parent_class_id: str,
        up_parent_class_id: str,
        class_minor: int,
        download_bandwidth_min: float,
        upload_bandwidth_min: float,
        download_bandwidth_max: float,
        upload_bandwidth_max: float,
    ) -> None:
        """Add a site: a class on both links, or on one in both directions."""
        fields = {
            "site_hash": hash_to_i64(utf8("site_name", site_name)),
            "parent_class_id": handle("parent_class_id", parent_class_id),
            "up_parent_class_id": handle("up_parent_class_id", up_parent_class_id),
            "class_minor": whole("class_minor", class_minor, 16),
            "download_bandwidth_min": single("download_bandwidth_min", download_bandwidth_min),
            "upload_bandwidth_min": single("upload_bandwidth_min", upload_bandwidth_min),
            "download_bandwidth_max": single("download_bandwidth_max", download_bandwidth_max),
            "upload_bandwidth_max": single("upload_bandwidth_max", upload_bandwidth_max),
        }
        self._add({"BakeryAddSite": fields}, "add_site %r" % site_name)

    def add_circuit(
        self,
        circuit_name: str,
        site_name: Optional[str],
        parent_class_id: str,
        up_parent_class_id: str,
        class_minor: int,
        download_bandwidth_min: float,
        upload_bandwidth_min: float,
        download_bandwidth_max: float,
        upload_bandwidth_max: float,
        class_major: int,
        up_class_major: int,
        ip_addresses: str,
        sqm_override: Optional[str] = None,
    ) -> None:
        """Add a circuit with its class and leaf in both directions.

        ip_addresses is a list with commas. sqm_override names another leaf than the default: "cake", "fq_codel",
        "none", tc(8) words, or one per direction, "down/up".
        """
        fields = {
            "circuit_hash": hash_to_i64(utf8("circuit_name", circuit_name)),
            "circuit_name": circuit_name,
            "site_name": None if site_name is None else utf8("site_name", site_name),
            "parent_class_id": handle("parent_class_id", parent_class_id),
            "up_parent_class_id": handle("up_parent_class_id", up_parent_class_id),
            "class_minor": whole("class_minor", class_minor, 16),
            "download_bandwidth_min": single("download_bandwidth_min", download_bandwidth_min),
            "upload_bandwidth_min": single("upload_bandwidth_min", upload_bandwidth_min),
            "download_bandwidth_max": single("download_bandwidth_max", download_bandwidth_max),
            "upload_bandwidth_max": single("upload_bandwidth_max", upload_bandwidth_max),
            "class_major": whole("class_major", class_major, 16),
            "up_class_major": whole("up_class_major", up_class_major, 16),
            "ip_addresses": utf8("ip_addresses", ip_addresses),
            "sqm_override": None if sqm_override is None else utf8("sqm_override", sqm_override),
        }
        self._add({"BakeryAddCircuit": fields}, "add_circuit %r" % circuit_name)

    def commit(self) -> None:
        """Send the batch: all of it becomes the wanted network, durably, or nothing does.

        Raises Refused with the reason of every item that was refused; Unavailable when the batch was certainly not
        taken, UnknownOutcome when that isn't known. BadArgument without a batch.
        """
        if not self._queue or self._queue[0] != "BakeryStart":
            raise BadArgument("commit without start_batch")
        requests = [*self._queue, "BakeryCommit"]
        labels = [*self._labels, "commit"]
        sessions = sessions_of(requests)
        try:
            with Connection() as connection:
                answers = connection.exchange(sessions)
        except UnknownOutcome as e:
            if e.sent < len(sessions):  # nobody has seen the BakeryCommit
                raise Unavailable("lost before BakeryCommit was sent; nothing was committed: %s" % e, Unavailable.LOST) from e
            raise
        last = answers[-1][-1]
        if name_of(last) == "LqosdUnknownOutcome":
            raise UnknownOutcome("commit: %s" % why_not(last), answers, len(sessions))
        self._queue, self._labels = [], []
        reasons = list(_refusals(requests, answers, labels))
        if reasons:
            raise Refused("the network was committed without what was refused" if last == "Ack" else "nothing was committed", reasons)

    def estimate_qdisc_budget(self) -> Dict[str, Any]:
        """Estimate whether the batch fits, tell the daemon, and give the estimate: see lqosd.budget.

        It never fails for want of a daemon: what a daemon would say is then left out, and stderr says so.
        """
        try:
            with Connection() as connection:
                result = budget.estimate(self._queue, budget.ask_facts(connection))
                connection.ask({"BakeryReportPreflight": budget.report(result)})
        except LqosdError as e:
            complain("estimate_qdisc_budget", e)
            result = budget.estimate(self._queue, budget.Facts())
        return result

    def _add(self, request: Request, label: str) -> None:
        self._queue.append(request)
        self._labels.append(label)


class BatchedCommands:
    """Address mappings, collected and sent together."""

    def __init__(self) -> None:
        """Make an empty batch."""
        self._queue: List[Request] = []

    def add_ip_mapping(
        self, ip: str, classid: str, cpu: str, upload: bool, circuit_id: Optional[str] = None, device_id: Optional[str] = None
    ) -> None:
        """Map an address or a prefix to a class: classid "0x1:0x4", cpu in hexadecimal, "0x0"."""
        self._queue.append(_mapping(ip, classid, cpu, upload, circuit_id, device_id))

    def finish_ip_mappings(self) -> None:
        """Let the dataplane forget which addresses it looked up, once the mappings are there."""
        self._queue.append("ClearHotCache")

    def length(self) -> int:
        """Give the number of requests collected."""
        return len(self._queue)

    def log(self) -> None:
        """Print what was collected."""
        for request in self._queue:
            print(request)

    def submit(self) -> int:
        """Send what was collected and give its number. Raises Refused with every reason, the others were taken."""
        requests = self._queue
        if requests:
            with Connection() as connection:
                answers = connection.exchange(sessions_of(requests))
            self._queue = []
            reasons = list(_refusals(requests, answers, [_mapping_label(r) for r in requests]))
            if reasons:
                raise Refused("%d of %d requests" % (len(reasons), len(requests)), reasons)
        return len(requests)


def _mapping(ip: str, classid: str, cpu: str, upload: bool, circuit_id: Optional[str], device_id: Optional[str]) -> Request:
    fields: Dict[str, Any] = {
        "ip_address": utf8("ip", ip),
        "tc_handle": handle("classid", classid),
        "cpu": hexadecimal("cpu", cpu, 32),
        "upload": truth("upload", upload),
    }
    for name, text in (("circuit_id", circuit_id), ("device_id", device_id)):
        if text is not None:
            if not utf8(name, text).strip():
                raise BadArgument("%s is empty" % name)
            fields[name] = hash_to_u64(text.strip())
    return {"MapIpToFlow": fields}


def _mapping_label(request: Request) -> str:
    fields = request.get("MapIpToFlow") if isinstance(request, Mapping) else None
    if not isinstance(fields, Mapping):
        return name_of(request)
    at = fields["tc_handle"]
    return "%s to 0x%x:0x%x" % (fields["ip_address"], at >> 16, at & 0xFFFF)


@dataclass(frozen=True)
class IpMapping:
    """A mapping as the daemon has it; tc_handle is (major, minor)."""

    ip_address: str
    prefix_length: int
    tc_handle: Tuple[int, int]
    cpu: int
    circuit_id: int
    device_id: int


def add_ip_mapping(
    ip: str, classid: str, cpu: str, upload: bool, circuit_id: Optional[str] = None, device_id: Optional[str] = None
) -> None:
    """Map an address or a prefix to a class."""
    _command(_mapping(ip, classid, cpu, upload, circuit_id, device_id))


def delete_ip_mapping(ip_address: str, upload: Optional[bool] = None) -> None:
    """Drop the mapping of an address or a prefix: of one direction, or (None) of both. No error if there is none."""
    directions = (False, True) if upload is None else (truth("upload", upload),)
    _command(*({"DelIpFlow": {"ip_address": utf8("ip_address", ip_address), "upload": d}} for d in directions))


def clear_ip_mappings() -> None:
    """Drop all mappings."""
    _command("ClearIpFlow")


def list_ip_mappings() -> List[IpMapping]:
    """Give all mappings."""
    with Connection() as connection:
        answer = connection.ask("ListIpFlow")
    found = answer.get("MappedIps") if isinstance(answer, Mapping) else None
    try:
        if not isinstance(found, list):
            raise TypeError("no list")
        return [_read_mapping(m) for m in found]
    except (TypeError, KeyError, ValueError, OverflowError) as e:
        raise UnknownOutcome("ListIpFlow: the answer makes no sense: %s" % e) from e


def _read_mapping(m: Mapping[str, Any]) -> IpMapping:
    at = int(m["tc_handle"])
    numbers = (int(m[name]) for name in ("cpu", "circuit_id", "device_id"))
    return IpMapping(str(m["ip_address"]), int(m["prefix_length"]), (at >> 16, at & 0xFFFF), *numbers)


def is_lqosd_alive() -> bool:
    """Tell whether a daemon answers; if not, stderr says why."""
    try:
        _command("Ping")
    except LqosdError as e:
        complain("is_lqosd_alive", e)
        return False
    return True


def wait_for_bus_ready(timeout_ms: int = 5000) -> bool:
    """Wait until a daemon answers: True, or Unavailable when the time is up."""
    with connect_within(max(0, timeout_ms) / 1000) as connection:
        connection.ask("Ping")
    return True


def _command(*requests: Request) -> None:
    """Send requests as one session, and want an Ack for each."""
    with Connection() as connection:
        answers = connection.exchange([requests])
    reasons = list(_refusals(requests, answers, [_mapping_label(r) for r in requests]))
    if reasons:
        raise Refused(name_of(requests[0]), reasons)
