"""Uniform experience replay (Lin 1992): a ring that is written in place and read by gather."""

import jax.numpy as jnp

from jaxrl.buffers import storage
from jaxrl.buffers.slots import pick
from jaxrl.buffers.storage import Storage, example_rollout
from jaxrl.errors import UsageError, at_least
from jaxrl.types import Array, Buffer, Key, Rollout, Sample

__all__ = ["example_rollout", "uniform"]


def uniform(
    capacity: int, batch_size: int, min_size: int | None = None, num_steps: int = 1, max_ends: int | None = None
) -> Buffer:
    """A ring of C transitions; `sample` draws B n-step experiences of those held, with replacement, in O(B).

    `ready` once min_size (default: batch_size) transitions were added. `add` takes a rollout [T, N, ...] as it is. Room
    for max_ends final observations is kept: see `storage`.
    """
    least = smallest(capacity, batch_size, min_size)
    at_least("num_steps", num_steps, 1)

    def init(example: Rollout) -> Storage:
        return storage.init(example, capacity, max_ends)

    def sample(state: Storage, key: Key, discount: Array | float) -> Sample:
        slots = pick(state, key, batch_size)
        return Sample(storage.read_steps(state, slots, num_steps, discount), slots, jnp.ones(batch_size))

    def update(state: Storage, indices: Array, priorities: Array) -> Storage:
        return state

    def ready(state: Storage) -> Array:
        return storage.has_seen(state, least)

    return Buffer(init, storage.add, sample, update, ready)


def smallest(capacity: int, batch_size: int, min_size: int | None) -> int:
    """The number of transitions that learning starts with, if the buffer can ever hold them."""
    least = min(batch_size, capacity) if min_size is None else min_size
    if not 1 <= least <= capacity:
        raise UsageError(f"a buffer of {capacity} can never hold the {least} transitions that learning starts with")
    return least
