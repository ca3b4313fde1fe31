"""JAX's own threefry generator without its loop: the same bits, in one fused operation per draw.

On a CPU, JAX lowers every draw to a loop of some eighty tiny operations, which in a scan over environment steps costs
more than the environment. Here the twenty rounds are plain arithmetic that fuses with what reads it.
"""

import functools
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
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_implementation())


@functools.cache
def _implementation() -> Hashable:
    return jax.extend.random.define_prng_impl(
        key_shape=(2,),
        seed=lambda seed: jax.random.key_data(jax.random.key(seed, impl="threefry2x32")),
        split=_split,
        random_bits=_random_bits,
        fold_in=_fold_in,
        name="threefry2x32_inline",
        tag="fryi",
    )


def _threefry(key: Array, high: Array, low: Array) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011): key uint32 [2], counters [...] -> two words [...]."""
    words = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(0x1BD11BDA))
    x, y = high + words[0], low + words[1]
    for i in range(5):
        for rotation in _ROTATIONS[i % 2]:
            x = x + y
            y = x ^ ((y << rotation) | (y >> (32 - rotation)))
        x, y = x + words[(i + 1) % 3], y + words[(i + 2) % 3] + jnp.uint32(i + 1)
    # Without the barrier some versions of XLA copy the rounds into every operation that reads them, and never finish.
    return jax.lax.optimization_barrier((x, y))


def _counters(shape: tuple[int, ...]) -> tuple[Array, Array]:
    """0, 1, 2, ... in row-major order, as high and low words of the shape."""
    size = 1
    low = jnp.zeros(shape, jnp.uint32)
    for axis in reversed(range(len(shape))):
        low = low + jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(size)
        size *= shape[axis]
    if size > 2**32:
        raise ValueError(f"a draw of shape {shape} has more than 2^32 numbers")
    return jnp.zeros(shape, jnp.uint32), low


def _split(key: Array, shape: tuple[int, ...]) -> Array:
    return jnp.stack(_threefry(key, *_counters(shape)), axis=-1)


def _random_bits(key: Array, bit_width: int, shape: tuple[int, ...]) -> Array:
    high, low = _threefry(key, *_counters(shape))
    match bit_width:
        case 64:
            return (high.astype(jnp.uint64) << 32) | low.astype(jnp.uint64)
        case 32:
            return high ^ low
    return (high ^ low).astype(f"uint{bit_width}")


def _fold_in(key: Array, data: Array | int) -> Array:
    return jnp.stack(_threefry(key, jnp.zeros((), jnp.uint32), jnp.asarray(data).astype(jnp.uint32)))
