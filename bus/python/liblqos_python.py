"""The part of LibreQoS's liblqos_python that shapes, for lqosd: bakery calls and address mappings.

LibreQoS.py imports a compiled module of this name. This one has the functions and classes of it that send commands to
the bakery or map addresses, with the same names and arguments, and sends them to lqosd. Every other name is taken from
the compiled module, where there is one on sys.path. A folder with the compiled module wins over this file, so
LibreQoS.py is started through it: python3 -m lqosd.launch /opt/libreqos/src/LibreQoS.py

First generation, a request each, True or False: bakery_clear_prior_settings, bakery_mq_setup,
bakery_add_structural_htb_class, bakery_add_circuit_htb_class, bakery_add_circuit_qdisc, bakery_execute_tc_commands.
False always comes with the reason on stderr.

Second generation, a whole network at once: Bakery. Addresses: BatchedCommands, add_ip_mapping, delete_ip_mapping,
clear_ip_mappings, list_ip_mappings. They raise LqosdError, an OSError: BadArgument, Unavailable, Refused, UnknownOutcome.

The bus is at LQOSD_SOCKET, or /run/lqos/bus. A daemon in which nothing moves for LQOSD_TIMEOUT seconds (60) is given
up. What happens to a lost connection is told in lqosd.calls and lqosd.batches.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import sys
from types import ModuleType
from typing import Any, Optional

from lqosd.batches import (
    Bakery,
    BatchedCommands,
    IpMapping,
    add_ip_mapping,
    clear_ip_mappings,
    delete_ip_mapping,
    is_lqosd_alive,
    list_ip_mappings,
    wait_for_bus_ready,
)
from lqosd.bus import BadArgument, LqosdError, Refused, Unavailable, UnknownOutcome
from lqosd.calls import (
    bakery_add_circuit_htb_class,
    bakery_add_circuit_qdisc,
    bakery_add_structural_htb_class,
    bakery_clear_prior_settings,
    bakery_execute_tc_commands,
    bakery_mq_setup,
)
from lqosd.siphash import hash_to_i64, hash_to_u64

__all__ = [
    "BadArgument",
    "Bakery",
    "BatchedCommands",
    "IpMapping",
    "LqosdError",
    "Refused",
    "Unavailable",
    "UnknownOutcome",
    "add_ip_mapping",
    "bakery_add_circuit_htb_class",
    "bakery_add_circuit_qdisc",
    "bakery_add_structural_htb_class",
    "bakery_clear_prior_settings",
    "bakery_execute_tc_commands",
    "bakery_mq_setup",
    "clear_ip_mappings",
    "delete_ip_mapping",
    "hash_to_i64",
    "hash_to_u64",
    "is_lqosd_alive",
    "list_ip_mappings",
    "wait_for_bus_ready",
]

_compiled: Optional[ModuleType] = None
_is_loading = False


def __getattr__(name: str) -> Any:
    """Take a name that this module doesn't have from the compiled one."""
    if name.startswith("__"):
        raise AttributeError(name)
    compiled = _load_compiled()
    if compiled is None:
        raise AttributeError("%s is not of lqosd, and no other liblqos_python is on sys.path to take it from" % name)
    return getattr(compiled, name)


def _load_compiled() -> Optional[ModuleType]:
    """Find the next module of this name on sys.path, and load it without giving it this one's place."""
    global _compiled, _is_loading
    if _compiled is not None or _is_loading:
        return _compiled
    _is_loading = True
    try:
        for folder in sys.path:
            spec = importlib.machinery.PathFinder.find_spec("liblqos_python", [folder or os.getcwd()])
            if spec is None or spec.loader is None or not spec.origin or _is_this_file(spec.origin):
                continue
            ours = sys.modules.get("liblqos_python")
            try:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
            finally:
                if ours is not None:  # a compiled module registers itself
                    sys.modules["liblqos_python"] = ours
            _compiled = module
            break
    finally:
        _is_loading = False
    return _compiled


def _is_this_file(path: str) -> bool:
    try:
        return os.path.samefile(path, __file__)
    except OSError:
        return False
