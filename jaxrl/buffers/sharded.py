"""A buffer in parts, one on each device, that deals as one buffer would.

Each part draws a batch by its own law, and for each place of the batch one part is chosen in proportion to the mass
that it holds, so P(i) = mass_d / total * p_i / mass_d = p_i / total. Each device gets its share of that batch.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.buffers import packing, prioritized, storage
from jaxrl.types import Array, Buffer, Key, Sample


class Law(NamedTuple):
    """How one part draws."""

    mass: Callable[..., Array]  # (state) -> float []: the sum of the numbers of what it holds
    numbers: Callable[..., Array]  # (state, slots [B]) -> float [B]: what the draws are in proportion to
    weigh: Callable[..., Array]  # (state, numbers [B], lowest of the batch []) -> importance weights [B]


UNIFORM = Law(
    lambda state: state.size.astype(jnp.float32), lambda state, slots: jnp.ones(slots.shape),
    lambda state, numbers, lowest: jnp.ones(numbers.shape),
)  # fmt: skip
PRIORITIZED = Law(prioritized.mass, prioritized.numbers_of, prioritized.weigh)


def sharded(buffer: Buffer, law: Law, axis_name: str) -> Buffer:
    """The buffer for use inside `shard_map` over this axis of D devices, each with its own rows and state.

    Capacity and min_size are those of a part. `sample` takes the same key everywhere and deals batch_size / D items of
    the whole batch to each device; an index is device * C + slot. `update` gives every part what was dealt of it.
    """

    def sample(state: Any, key: Key, discount: Array | float) -> Sample:
        owner_key, draw_key = jax.random.split(key)
        me = jax.lax.axis_index(axis_name)
        masses = jax.lax.all_gather(law.mass(state), axis_name)
        drawn = buffer.sample(state, jax.random.fold_in(draw_key, me), discount)
        # Independent of the place: parts may draw in strata, so that each place of a batch has its own share of a part.
        owner = jax.random.categorical(owner_key, jnp.log(masses), shape=drawn.indices.shape)
        dealt = (drawn.items, me * _capacity(state) + drawn.indices, law.numbers(state, drawn.indices))
        bits = {w: jnp.where((owner == me)[:, None], x, 0) for w, x in packing.pack(dealt, 1).items()}
        bits = {w: jax.lax.psum_scatter(x, axis_name, tiled=True) for w, x in bits.items()}
        items, indices, numbers = packing.unpack(bits, dealt, 1)
        return Sample(items, indices, law.weigh(state, numbers, jax.lax.pmin(numbers.min(), axis_name)))

    def update(state: Any, indices: Array, priorities: Array) -> Any:
        indices, priorities = (jax.lax.all_gather(x, axis_name, tiled=True) for x in (indices, priorities))
        slots = indices - jax.lax.axis_index(axis_name) * _capacity(state)
        mine = (slots >= 0) & (slots < _capacity(state))
        return buffer.update(state, jnp.where(mine, slots, -1), priorities)

    def ready(state: Any) -> Array:
        return jax.lax.pmin(buffer.ready(state).astype(jnp.int32), axis_name) > 0

    return Buffer(buffer.init, buffer.add, sample, update, ready)


def _capacity(state: Any) -> int:
    return storage.sizes(getattr(state, "storage", state))[0]
