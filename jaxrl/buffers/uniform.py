"""Uniform experience replay (Lin 1992): a ring that is written in place and read by gather."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl import trees
from jaxrl.errors import UsageError
from jaxrl.types import Array, Buffer, Experience, Key, Rollout, Sample, Transition, Tree


class State(NamedTuple):
    packed: list[Array]  # per dtype [C, D]: all fields of a transition side by side
    example: Transition  # [0, ...]: the structure to unpack into; holds no numbers
    head: Array  # int32: next slot in time to write
    size: Array  # int32: transitions held


def uniform(capacity: int, batch_size: int, min_size: int | None = None) -> Buffer:
    """A ring of C transitions; `sample` draws B of those held, with replacement, in O(B).

    `ready` once min_size (default: batch_size) transitions are held. `add` takes a rollout [T, N, ...] as it is:
    slots are ordered by time, then row, so that a step of all rows stays together.
    """
    least = min(batch_size, capacity) if min_size is None else min_size
    if not 1 <= least <= capacity:
        raise UsageError(f"a buffer of {capacity} can never hold the {least} transitions that learning starts with")

    def pieces(rollout: Rollout) -> Transition:
        return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), rollout.steps)

    def init(example: Rollout) -> State:
        steps = pieces(example)
        packed, _ = trees.packer(steps, 1)
        shapes = jax.eval_shape(packed, steps)
        zero = jnp.zeros((), jnp.int32)
        storage = [jnp.zeros((capacity, leaf.shape[1]), leaf.dtype) for leaf in shapes]
        return State(storage, jax.tree.map(lambda x: x[:0], steps), zero, zero)

    def add(state: State, rollout: Rollout) -> State:
        steps = pieces(rollout)
        pack, _ = trees.packer(steps, 1)
        count = steps.reward.shape[0]
        if capacity % count:
            raise UsageError(f"capacity is {capacity}, expected a multiple of the {count} transitions of a rollout")
        packed = [
            jax.lax.dynamic_update_slice_in_dim(old, new, state.head, 0)
            for old, new in zip(state.packed, pack(steps), strict=True)
        ]
        size = jnp.minimum(state.size + count, capacity)
        return State(packed, state.example, (state.head + count) % capacity, size)

    def sample(state: State, key: Key, discount: Array | float) -> Sample:
        indices = jax.random.randint(key, (batch_size,), 0, state.size)
        _, unpack = trees.packer(state.example, 1)
        t = unpack([array[indices] for array in state.packed])
        items = Experience(
            t.obs, t.action, t.reward, jnp.where(t.terminated, 0.0, discount), t.valid, t.next_obs, t.extras
        )
        return Sample(items, indices, jnp.ones(batch_size))

    def update(state: State, indices: Array, priorities: Array) -> State:
        return state

    def ready(state: State) -> Array:
        return state.size >= least

    return Buffer(init, add, sample, update, ready)


def example_rollout(timestep: Tree, action: Tree, extras: Tree) -> Rollout:
    """A rollout [1, N, ...] of the right structure and dtypes, from what an agent's `init` knows."""
    steps = Transition(
        timestep.obs, timestep.first, action, timestep.reward, timestep.terminated, timestep.truncated,
        timestep.valid, timestep.final_obs, extras,
    )  # fmt: skip
    return Rollout(jax.tree.map(lambda x: jnp.asarray(x)[None], steps), ())
