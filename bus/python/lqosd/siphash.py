"""SipHash-1-3 with the key 0, of which clients make the numbers of sites, circuits and devices.

The algorithm is that of Aumasson and Bernstein, "SipHash: a fast short-input PRF" (2012), with one round per
word and three at the end. The text is hashed as UTF-8, without anything behind it.
"""

from __future__ import annotations

import struct
from functools import lru_cache

_MASK = 0xFFFFFFFFFFFFFFFF


@lru_cache(maxsize=1 << 16)
def hash_to_u64(text: str) -> int:
    """Give the hash of a name as an unsigned number of 64 bits: circuit_id and device_id of a mapping."""
    data = text.encode("utf-8")
    whole = len(data) & ~7
    words = list(struct.unpack_from("<%dQ" % (whole // 8), data))
    words.append(int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56)
    a, b, c, d = 0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573
    for word in words:
        a, b, c, d = _round(a, b, c, d ^ word)
        a ^= word
    c ^= 0xFF
    for _ in range(3):
        a, b, c, d = _round(a, b, c, d)
    return a ^ b ^ c ^ d


def hash_to_i64(text: str) -> int:
    """Give the hash of a name as a signed number of 64 bits: site_hash and circuit_hash."""
    value = hash_to_u64(text)
    return value - (1 << 64) if value >> 63 else value


def _round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a = (a + b) & _MASK
    b = ((b << 13) & _MASK | b >> 51) ^ a
    a = (a << 32) & _MASK | a >> 32
    c = (c + d) & _MASK
    d = ((d << 16) & _MASK | d >> 48) ^ c
    a = (a + d) & _MASK
    d = ((d << 21) & _MASK | d >> 43) ^ a
    c = (c + b) & _MASK
    b = ((b << 17) & _MASK | b >> 47) ^ c
    c = (c << 32) & _MASK | c >> 32
    return a, b, c, d
