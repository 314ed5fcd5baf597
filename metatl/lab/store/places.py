"""Increasing places as few bits: a bit a place, or Elias and Fano's code where changes are rare."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int64]


def size(count: int, among: int) -> int:
    """Bytes that `count` places below `among` take; none where all of them are meant."""
    return 0 if count in (0, among) else -(-_bits(count, among, _low(count, among)) // 8)


def pack(places: Places, among: int) -> bytes:
    """The increasing places [n], all below `among`, as bytes; the way follows from n and `among` alone.

    With l low bits kept as they are, the high parts h_i stand as ones at h_i + i: at most 2 + log2(among / n)
    bits a place, 0.6 more than the least possible for few among many. Sources: Elias 1974, J. ACM 21(2);
    Fano 1971, MIT Project MAC memorandum 61.
    """
    count = len(places)
    if count in (0, among):
        return b""
    low = _low(count, among)
    if low == 0:
        marks = np.zeros(among, np.uint8)
        marks[places] = 1
        return np.packbits(marks).tobytes()
    high = np.zeros(((among - 1) >> low) + count, np.uint8)
    high[(places >> low) + np.arange(count)] = 1
    lows = (places[:, None] >> np.arange(low) & 1).astype(np.uint8)
    return np.packbits(np.concatenate([high, lows.reshape(-1)])).tobytes()


def unpack(packed: bytes, count: int, among: int) -> Places:
    """The places that `pack` took; raises ValueError where the bytes are not theirs."""
    if count in (0, among):
        return np.arange(count)
    low = _low(count, among)
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))[: _bits(count, among, low)]
    high = bits if low == 0 else bits[: ((among - 1) >> low) + count]
    ones = np.flatnonzero(high)
    if len(ones) != count:
        raise ValueError(f"{len(ones)} places instead of {count}")
    if low == 0:
        return ones
    lows: NDArray[Any] = bits[len(high) :].reshape(count, low).astype(np.int64)
    places = (ones - np.arange(count) << low) + (lows << np.arange(low)).sum(1)
    if places[-1] >= among or bool((np.diff(places) <= 0).any()):
        raise ValueError("places out of order")
    return places


def _bits(count: int, among: int, low: int) -> int:
    return among if low == 0 else count * (low + 1) + ((among - 1) >> low)


def _low(count: int, among: int) -> int:
    """Low bits with which the places are shortest; 0 stands for a bit a place."""
    guess = max(1, (among // count).bit_length() - 1)
    return min((0, guess, guess + 1), key=lambda low: _bits(count, among, low))
