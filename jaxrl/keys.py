"""JAX's own threefry generator without its loop: the same bits, in one fused operation per draw.

On a CPU, JAX lowers every draw to a loop of some eighty tiny operations, which in a scan over environment steps costs
more than the environment. Here the twenty rounds are plain arithmetic that fuses with what reads it.
"""

import functools
import itertools
from collections.abc import Hashable
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp

from jaxrl.types import Array, Key

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def inline(key: Key) -> Key:
    """A threefry key [...] as one of the same value whose draws are inlined; any other kind of key stays itself."""
    config: Any = jax.config
    if jax.random.key_impl(key) != "threefry2x32" or not config.jax_threefry_partitionable:
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_implementation(2))


def rows(key: Key, *counts: int) -> tuple[Key, ...]:
    """Groups of as many keys as each count says, one for each row; no two of all of them share a draw.

    Those of an inlined key cost nothing until they are drawn from: they are the key itself with a number from 1 on,
    which is the upper half of every counter of their draws. Any other kind of key is split as JAX does it.
    """
    if jax.random.key_impl(key) != _implementation(2):
        groups = zip(jax.random.split(key, len(counts)), counts, strict=True)
        return tuple(jax.random.split(group, count) for group, count in groups)
    words, numbered = jax.random.key_data(key), []
    for count, end in zip(counts, itertools.accumulate(counts), strict=True):
        numbers = jnp.arange(end - count + 1, end + 1, dtype=jnp.uint32)[:, None]
        data = jnp.concatenate([jnp.broadcast_to(words, (count, 2)), numbers], axis=1)
        numbered.append(jax.random.wrap_key_data(data, impl=_implementation(3)))
    return tuple(numbered)


def apart(key: Key) -> Key:
    """A key [] beside those that `key` is split into elsewhere: no split has as many parts."""
    return jax.random.fold_in(key, 2**31 - 1)


@functools.cache
def _implementation(size: int) -> Hashable:
    """Keys of `size` words: two that are JAX's, and perhaps a third that is the upper half of the counters."""
    return jax.extend.random.define_prng_impl(
        key_shape=(size,),
        seed=lambda seed: _padded(jax.random.key_data(jax.random.key(seed, impl="threefry2x32")), size),
        split=lambda key, shape: _padded(jnp.stack(_threefry(key, _counters(shape)), axis=-1), size),
        random_bits=_random_bits,
        fold_in=lambda key, data: _padded(jnp.stack(_threefry(key, jnp.asarray(data).astype(jnp.uint32))), size),
        name=f"threefry2x32_inline{size}",
        tag=f"fryi{size}",
    )


def _padded(words: Array, size: int) -> Array:
    """Two words of a key [..., 2], with a third that is 0 where the size is 3."""
    return jnp.pad(words, [(0, 0)] * (words.ndim - 1) + [(0, size - 2)])


def _threefry(key: Array, low: Array) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011): key uint32 [2 or 3], counters [...] -> two words [...]."""
    high = jnp.zeros_like(low) if key.shape[0] == 2 else jnp.broadcast_to(key[2], low.shape)
    words = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(0x1BD11BDA))
    x, y = high + words[0], low + words[1]
    for i in range(5):
        for rotation in _ROTATIONS[i % 2]:
            x = x + y
            y = x ^ ((y << rotation) | (y >> (32 - rotation)))
        last = (words[(i + 1) % 3], words[(i + 2) % 3] + jnp.uint32(i + 1))
        if i < 4:
            x, y = x + last[0], y + last[1]
    # XLA copies plain arithmetic into every operation that reads it. The last sum is a reduction to two arrays, which
    # it computes once: training compiles in half of the time.
    pairs = tuple(jnp.stack([word, jnp.broadcast_to(key, word.shape)]) for word, key in zip((x, y), last, strict=True))
    return jax.lax.reduce(pairs, (jnp.uint32(0),) * 2, lambda a, b: (a[0] + b[0], a[1] + b[1]), (0,))


def _counters(shape: tuple[int, ...]) -> Array:
    """0, 1, 2, ... in row-major order, in that shape."""
    size = 1
    counters = jnp.zeros(shape, jnp.uint32)
    for axis in reversed(range(len(shape))):
        counters = counters + jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(size)
        size *= shape[axis]
    if size > 2**32:
        raise ValueError(f"a draw of shape {shape} has more than 2^32 numbers")
    return counters


def _random_bits(key: Array, bit_width: int, shape: tuple[int, ...]) -> Array:
    high, low = _threefry(key, _counters(shape))
    match bit_width:
        case 64:
            return (high.astype(jnp.uint64) << 32) | low.astype(jnp.uint64)
        case 32:
            return high ^ low
    return (high ^ low).astype(f"uint{bit_width}")
