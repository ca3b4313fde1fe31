"""Which observations an episode has seen: a hashed set for each row, exact but for collisions.

slot(o) = the highest bits of sum_i mix(o_i) w_i mod 2^32        (multiply-shift: Dietzfelbinger et al. 1997)

o_i are the bits of the features as float32, w_i fixed odd numbers: a sum of integers is the same in any program.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.types import Array, Observation, Timestep, Tree

_BITS = 12  # of a slot: an episode of 200 different observations finds a new one taken in 1 of 20 cases


class Memory(NamedTuple):
    """The carry of an agent beside what the episode of each row has seen."""

    agent: Tree
    seen: Array  # bool [N, slots]


def begin(agent: Tree, num_rows: int) -> Memory:
    """Nothing seen."""
    return Memory(agent, jnp.zeros((num_rows, 2**_BITS), bool))


def remember(before: Memory, after: Tree, timestep: Timestep) -> Memory:
    """The memory once the agent, whose carry is `after`, has seen a timestep."""
    return Memory(after, enter(before.seen, timestep.first, slot(timestep.obs, timestep.first)))


def slot(obs: Observation, first: Array) -> Array:
    """The slot, uint32 [...], of observations whose batch axes are those of first [...]."""
    flat = [jnp.reshape(x, (*first.shape, -1)).astype(jnp.float32) for x in jax.tree.leaves(obs.features)]
    bits = jax.lax.bitcast_convert_type(jnp.concatenate(flat, -1), jnp.uint32)
    weights = np.random.default_rng(0).integers(2**31, size=bits.shape[-1], dtype=np.uint32) * 2 + 1
    mixed = (bits ^ (bits >> 16)) * jnp.uint32(0x45D9F3B)  # small numbers differ in high bits only: bring them down
    return jnp.sum((mixed ^ (mixed >> 16)) * weights, -1, dtype=jnp.uint32) >> (32 - _BITS)


def enter(seen: Array, first: Array, slots: Array) -> Array:
    """Seen [N, slots] once the observations of these slots [N] are, of which the first ones open an episode."""
    return (seen & ~first[:, None]) | (jnp.arange(seen.shape[1]) == slots[:, None])


def are_new(seen: Array, first: Array, obs: Observation, next_obs: Observation) -> Array:
    """bool [T, N]: a step reached what its episode had not seen, after `seen` [N, slots] before the first step."""

    def step(seen: Array, now: Any) -> tuple[Array, Array]:
        first, at, reached = now
        seen = enter(seen, first, at)
        return seen, ~jnp.take_along_axis(seen, reached[:, None].astype(jnp.int32), 1)[:, 0]

    return jax.lax.scan(step, seen, (first, slot(obs, first), slot(next_obs, first)))[1]
