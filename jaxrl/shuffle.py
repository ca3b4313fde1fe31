"""A random permutation without a sort: O(n), which on a CPU is a hundred times faster than sorting random keys."""

import jax
import jax.numpy as jnp

from jaxrl.types import Array, Key


def permutation(key: Key, n: int) -> Array:
    """A pseudo-random permutation of 0 .. n - 1 -> int32 [n] (a Feistel network; Luby & Rackoff 1988).

    The network is a keyed bijection of the next power of two; values beyond n walk on along their cycle until they
    fall inside, which leaves a bijection of 0 .. n - 1 (Black & Rogaway 2002).
    """
    bits = max(2, (n - 1).bit_length())
    rounds = 6 if bits > 7 else 16  # few bits mix slowly: with 6 rounds, pairs of 8 items are off by a quarter
    keys = jax.random.bits(key, (rounds,), jnp.uint32)

    def scramble(x: Array) -> Array:
        for i in range(rounds):
            low = bits // 2 if i % 2 else bits - bits // 2  # unequal halves swap sizes every round
            right, left = x & ((1 << low) - 1), x >> low
            mixed = right * jnp.uint32(0x9E3779B1) + keys[i]
            mixed = (mixed ^ (mixed >> 15)) * jnp.uint32(0x85EBCA77)
            left = (left ^ mixed ^ (mixed >> 13)) & ((1 << (bits - low)) - 1)
            x = (right << (bits - low)) | left
        return x

    order = scramble(jnp.arange(n, dtype=jnp.uint32))
    if n < 1 << bits:
        order = jax.lax.while_loop(lambda x: jnp.any(x >= n), lambda x: jnp.where(x >= n, scramble(x), x), order)
    return order.astype(jnp.int32)
