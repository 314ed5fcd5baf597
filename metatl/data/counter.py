"""Counter-based random numbers: a pure integer hash of (key, counter), equal on all devices, in any order.

Arithmetic is on int64 tensors that wrap around, so a number depends on its key and its counter alone: not on
the batch it is drawn in, on a generator's state or on the number of threads.
"""

from __future__ import annotations

import torch
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
_SECOND = 0x94D049BB133111EB - (1 << 64)
_WORD = (1 << 64) - 1


def mix_(z: Tensor) -> Tensor:
    """Scramble int64 words [...] in place: SplitMix64's finaliser, a bijection (Steele, Lea, Flood 2014)."""
    for shift, factor in ((30, _FIRST), (27, _SECOND)):
        z.bitwise_xor_(_shift_right(z, shift)).mul_(factor)
    return z.bitwise_xor_(_shift_right(z, 31))


def _shift_right(z: Tensor, by: int) -> Tensor:
    """Logical shift: torch's own copies the sign bit."""
    return (z >> by).bitwise_and_((1 << (64 - by)) - 1)


def number(*parts: int) -> int:
    """One key from a few integers (seed, split, purpose), each mixed in turn; order matters."""
    key = 0
    for part in parts:
        z = (key + (part + 1) * (_GOLDEN & _WORD)) & _WORD
        z = ((z ^ (z >> 30)) * (_FIRST & _WORD)) & _WORD
        z = ((z ^ (z >> 27)) * (_SECOND & _WORD)) & _WORD
        key = z ^ (z >> 31)
    return key - (1 << 64) if key >> 63 else key


def bits(key: int | Tensor, counter: Tensor) -> Tensor:
    """Random int64 words [...], mix(key + (counter + 1) * golden ratio): key and counter broadcast."""
    return mix_(counter.mul(_GOLDEN).add_(_GOLDEN).add(key))


def derived(key: Tensor, purpose: int) -> Tensor:
    """A key of its own for each key [...] and purpose: `bits` for one counter, no tensor made of it."""
    step = ((purpose + 1) * _GOLDEN) & _WORD
    return mix_(key + (step - (1 << 64) if step >> 63 else step))


def below(words: Tensor, n: int | Tensor) -> Tensor:
    """Integers 0 .. n - 1 from random words [...] (n below 2^31): floor(n * upper half / 2^32)."""
    return _shift_right(words, 32).mul_(n) >> 32


def uniform(words: Tensor) -> Tensor:
    """Float64 in [0, 1) with 53 random bits, from words [...]."""
    return _shift_right(words, 11).to(torch.float64) * 2.0**-53


def normal(words: Tensor) -> Tensor:
    """Float64 [...], nearly standard normal never beyond 3.5: the sum of a word's four 16-bit quarters."""
    quarters = sum((_shift_right(words, by) & 0xFFFF for by in (16, 32, 48)), words & 0xFFFF)
    return (quarters.to(torch.float64) * 2.0**-16 - (2.0 - 2.0**-15)) * 3.0**0.5


def gaussian(words: Tensor) -> Tensor:
    """Float64 [...], standard normal, of any size: Box & Muller's from two uniform numbers a word."""
    far, turn = 1 - uniform(derived(words, 0)), uniform(derived(words, 1))
    return (-2 * far.log()).sqrt() * torch.cos(2 * torch.pi * turn)


def first_of_shuffle(key: Tensor, sizes: int | Tensor, longest: int, take: int) -> Tensor:
    """First `take` of a random order of 0 .. size - 1, no repeats, for every key: [*key.shape, take].

    longest >= every size; sizes broadcast to the keys. Which of two exact ways is taken rests on `take` and
    `longest` alone: a word for every candidate, or one for every draw where candidates are far more.
    """
    if take <= 64 and longest >= 32 * take:
        return _few_of_many(key, sizes, take)
    candidates = torch.arange(longest, device=key.device)
    low = (1 << max(longest - 1, 1).bit_length()) - 1
    # The low bits of a word are its candidate: no ties, and the largest words are the answer.
    words = bits(key.unsqueeze(-1), candidates).bitwise_and_(~low).bitwise_or_(candidates)
    if isinstance(sizes, Tensor):
        words.masked_fill_(candidates >= sizes.unsqueeze(-1), torch.iinfo(torch.int64).min)
    if take == longest:
        return words.sort(-1, descending=True).values & low
    return words.topk(take, -1).values & low


def _few_of_many(key: Tensor, sizes: int | Tensor, take: int) -> Tensor:
    """Draw i is from 0 .. size - take + i, or that last one itself if it repeats an earlier draw.

    Floyd's sampling (Bentley and Floyd 1987). The set is uniform, its order is not: it is shuffled
    afterwards.
    """
    steps = torch.arange(take, device=key.device)
    last = (sizes.unsqueeze(-1) if isinstance(sizes, Tensor) else sizes) - take + steps
    picked = below(bits(key.unsqueeze(-1), steps), last + 1)
    last = last.expand_as(picked)
    for i in range(1, take):
        repeats = (picked[..., :i] == picked[..., i, None]).any(-1)
        picked[..., i] = torch.where(repeats, last[..., i], picked[..., i])
    if take <= 1:
        return picked
    return picked.gather(-1, first_of_shuffle(derived(key, take), take, take, take))
