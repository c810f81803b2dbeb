"""Values of calls, checked before they are sent.

A value of another type is a TypeError, as the compiled module has it; one that doesn't fit is a BadArgument.
"""

from __future__ import annotations

import math
import struct
from typing import List, Sequence

from lqosd.bus import BadArgument, plain


def whole(name: str, value: int, bits: int, signed: bool = False) -> int:
    """Check that value is a whole number of so many bits."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("%s is %r: want an int" % (name, value))
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not low <= value <= high:
        raise BadArgument("%s is %d: want %d to %d" % (name, value, low, high))
    return value


def utf8(name: str, value: str) -> str:
    """Check that value is text that UTF-8 can hold."""
    if not isinstance(value, str):
        raise TypeError("%s is %r: want a str" % (name, value))
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as e:
        raise BadArgument("%s is not text: %s" % (name, e)) from e
    return value


def number(name: str, value: float) -> float:
    """Check that value is a finite number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError("%s is %r: want a number" % (name, value))
    try:
        read = float(value)
    except OverflowError as e:
        raise BadArgument("%s is too large" % name) from e
    if not math.isfinite(read):
        raise BadArgument("%s is %r: want a finite number" % (name, value))
    return read


def single(name: str, value: float) -> float:
    """Round a number as the bus has it in the second generation: to 32 bits."""
    try:
        (rounded,) = struct.unpack("<f", struct.pack("<f", number(name, value)))
    except OverflowError as e:
        raise BadArgument("%s is %r: too large for a number of 32 bits" % (name, value)) from e
    return float(rounded)


def hexadecimal(name: str, text: str, bits: int) -> int:
    """Read a hexadecimal number, with or without 0x."""
    digits = utf8(name, text).strip().lower()
    if digits.startswith("0x"):
        digits = digits[2:]
    if not digits or digits.strip("0123456789abcdef"):
        raise BadArgument("%s is %r: want hexadecimal digits, for example 0x1f" % (name, text))
    value = int(digits, 16) if len(digits) <= 64 else 1 << 64
    if value >= 1 << bits:
        raise BadArgument("%s is %s: too large for %d bits" % (name, plain(text[:80]), bits))
    return value


def handle(name: str, text: str) -> int:
    """Read a handle as tc(8) writes it, "0x1:0x3", "1:3" or "0x1:": major * 65,536 + minor."""
    major, colon, minor = utf8(name, text).strip().partition(":")
    if not colon:
        raise BadArgument("%s is %r: want major:minor, for example 0x1:0x3" % (name, text))
    return hexadecimal(name, major, 16) << 16 | (hexadecimal(name, minor, 16) if minor else 0)


def truth(name: str, value: bool) -> bool:
    """Check that value is True or False: a text such as "no" is neither."""
    if not isinstance(value, (bool, int)):
        raise TypeError("%s is %r: want a bool" % (name, value))
    return bool(value)


def texts(name: str, values: Sequence[str]) -> List[str]:
    if isinstance(values, str):
        raise TypeError("%s is a str: want a list of them" % name)
    return [utf8("%s[%d]" % (name, i), v) for i, v in enumerate(values)]
