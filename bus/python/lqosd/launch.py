"""Starts a program of LibreQoS, with this liblqos_python in front of the compiled one.

    python3 -m lqosd.launch /opt/libreqos/src/LibreQoS.py [ARGUMENT…]

Python looks for modules in the program's own folder first, and there is the compiled one. So the module is loaded
before the program; what it doesn't have, it takes from the compiled one.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from types import ModuleType
from typing import List, Optional

NAME = "liblqos_python"


def load_ours() -> ModuleType:
    """Load the liblqos_python beside this package, whatever else is on sys.path."""
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), NAME + ".py")
    spec = importlib.util.spec_from_file_location(NAME, path)
    if spec is None or spec.loader is None:
        raise ImportError("no %s" % path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    return module


def main(arguments: Optional[List[str]] = None) -> None:
    """Run the program that the first argument names, with the others."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__, file=sys.stdout if arguments else sys.stderr)
        raise SystemExit(0 if arguments else 2)
    program = arguments[0]
    if not os.path.isfile(program):
        print("lqosd.launch: there is no program %s" % program, file=sys.stderr)
        raise SystemExit(2)
    load_ours()
    sys.path[0] = os.path.dirname(os.path.abspath(program))
    sys.argv = arguments
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
