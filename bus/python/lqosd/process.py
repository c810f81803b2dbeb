"""A private daemon in file mode, for checks: in a temporary folder, with a bus and a log of its own.

It touches no kernel, and nothing of another daemon.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, Optional

from lqosd.bus import Connection, Unavailable

START_SECONDS = 30.0


def find_program(given: Optional[str]) -> Optional[str]:
    """Find lqosd: the given path or, without one, LQOSD_BIN, PATH, the usual folders, and bin of a checkout."""
    if given:
        return given if _is_program(given) else None
    here = os.path.dirname(os.path.abspath(__file__))
    checkout = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(here))), "bin", "lqosd")
    for path in (os.environ.get("LQOSD_BIN"), shutil.which("lqosd"), "/usr/local/sbin/lqosd", "/usr/sbin/lqosd", "bin/lqosd", checkout):
        if path and _is_program(path):
            return os.path.abspath(path)
    return None


def _is_program(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


@contextlib.contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set variables of the environment, and give them their values back at the end of a with statement."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@dataclass
class Network:
    """What a configuration says of the network: two links, or one on a stick, and what they carry."""

    to_network: str = "eth1"
    to_internet: str = "eth0"
    stick: Optional[str] = None
    vlans: tuple[int, int] = (2, 3)
    queues: int = 2  # of the links; on a stick each direction has half
    default_sqm: str = "cake diffserv4"
    down_mbps: float = 1000
    up_mbps: float = 1000

    @classmethod
    def of_recording(cls, cfg: Mapping[str, Any]) -> Network:
        """Read cfg.json of a recording. Raises KeyError, TypeError or ValueError where it lacks something."""
        queues = cfg["queues"]
        network = cls(
            queues=int(cfg["nic_queues"]),
            default_sqm=str(queues["default_sqm"]),
            down_mbps=float(queues["downlink_bandwidth_mbps"]),
            up_mbps=float(queues["uplink_bandwidth_mbps"]),
        )
        single = cfg.get("single_interface")
        if single is not None:
            network.stick = str(single["interface"])
            network.vlans = int(single["internet_vlan"]), int(single["network_vlan"])
        else:
            network.to_network, network.to_internet = str(cfg["bridge"]["to_network"]), str(cfg["bridge"]["to_internet"])
        return network

    def links(self) -> List[str]:
        """Give the links: towards the subscribers, towards the internet."""
        return [self.stick] if self.stick is not None else [self.to_network, self.to_internet]

    def toml(self, folder: str) -> str:
        """Give lqos.conf, with everything of the daemon below folder."""
        parts: Dict[str, Dict[str, object]] = {}
        if self.stick is not None:
            parts["single_interface"] = {
                "interface": self.stick,
                "internet_vlan": self.vlans[0],
                "network_vlan": self.vlans[1],
            }
        else:
            parts["bridge"] = {"to_internet": self.to_internet, "to_network": self.to_network}
        parts["queues"] = {
            "default_sqm": self.default_sqm,
            "downlink_bandwidth_mbps": self.down_mbps,
            "uplink_bandwidth_mbps": self.up_mbps,
            "override_available_queues": self.queues,
        }
        parts["bakery"] = {
            "mode": "file",
            "state_directory": os.path.join(folder, "state"),
            "socket": os.path.join(folder, "bus"),
        }
        lines = ["lqos_directory = %s" % json.dumps(folder)]
        for part, values in parts.items():
            lines += ["", "[%s]" % part, *("%s = %s" % (k, json.dumps(v)) for k, v in values.items())]
        return "\n".join(lines) + "\n"


class PrivateDaemon:
    """A daemon that lives as long as a with statement."""

    def __init__(self, program: str, network: Optional[Network] = None, config: Optional[str] = None) -> None:
        """Prepare a daemon of a network, or of a configuration file, of which only the network counts."""
        self._program = program
        self._network = network or Network()
        self._given = config
        self._process: Optional[subprocess.Popen[bytes]] = None
        self.folder = ""
        self.socket = ""
        self.tc_file = ""

    def __enter__(self) -> PrivateDaemon:
        """Start it, and wait until it answers. Raises Unavailable with what it said."""
        self.folder = tempfile.mkdtemp(prefix="lqosd-check-")
        self.socket = os.path.join(self.folder, "bus")
        self.tc_file = os.path.join(self.folder, "tc-rust.txt")
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self) -> None:
        """Start the process, the first time or after stop()."""
        config = self._given or os.path.join(self.folder, "lqos.conf")
        if self._given is None:
            with open(config, "w", encoding="utf-8") as f:
                f.write(self._network.toml(self.folder))
        command = [self._program, "serve", "--config", config, "--mode", "file", "--socket", self.socket]
        command += ["--state-dir", os.path.join(self.folder, "state"), "--tc-file", self.tc_file]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            try:
                self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            except OSError as e:
                raise Unavailable("%s can't be started: %s" % (self._program, e)) from e
        self._wait(self._process)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                Connection(self.socket, START_SECONDS).close()
                return
            except Unavailable as e:
                if process.poll() is not None:
                    raise Unavailable("%s ended with exit code %d: %s" % (self._program, process.returncode, self.log())) from e
                if time.monotonic() > deadline:
                    raise Unavailable("%s doesn't answer: %s; its log: %s" % (self._program, e, self.log())) from e
            time.sleep(0.02)

    def log(self) -> str:
        """Give the end of what it logged."""
        try:
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as f:
                return f.read()[-2000:].strip()
        except OSError as e:
            return str(e)

    def tc_lines(self) -> str:
        """Give the tc lines that it has written."""
        with open(self.tc_file, encoding="utf-8") as f:
            return f.read()

    def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pid(self) -> int:
        """Give the number of the process, which has to run."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End the process as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __exit__(self, *_: object) -> None:
        """Stop it, and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
