"""Replay of windows: L consecutive steps of one row, with the carry that the agent had before the first of them.

A window may cross the ends of episodes (the carry restarts where `first` holds), but never the place that is written
next. Windows begin at every stride-th step of the ring, so each has a number, block * N + row. The agent puts its carry
before a step into the `extras` of that step; what is kept of it are the carries with which windows begin.

With priorities, P(i) = p_i^a / sum_k p_k^a over the windows that are held as a whole, and a window begins with the
highest p so far; w_i = (P(i) / min P in the batch)^-b (Kapturowski et al. 2019).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.buffers import storage, sum_tree
from jaxrl.buffers.storage import Storage
from jaxrl.buffers.uniform import smallest
from jaxrl.errors import UsageError, at_least, within
from jaxrl.types import Array, Buffer, Key, Rollout, Sample, Tree


class State(NamedTuple):
    steps: Storage
    carries: Tree  # [C / N / stride, N, ...] before the first step of each block
    tree: Any  # a sum tree of p^a of each window, and of 0 for one more block; () where windows are alike
    highest: Array  # float32: the highest p^a so far


def sequence(
    capacity: int, batch_size: int, length: int, stride: int = 1, min_size: int | None = None,
    max_ends: int | None = None, priority_exponent: float | None = None, importance_exponent: float = 0.6,
    priority_floor: float = 1e-6,
) -> Buffer:  # fmt: skip
    """A ring of C transitions; `sample` draws B windows of L steps: a Rollout, steps [L, B, ...] and carry [B, ...].

    Every window that is held as a whole is as likely as any other; with a priority_exponent a, in proportion to p^a of
    what `update` was told, from priorities [B]. `ready` once min_size (default: batch_size) transitions were added and
    a window is held.
    """
    least = smallest(capacity, batch_size, min_size)
    at_least("length", length, 1)
    at_least("stride", stride, 1)
    at_least("priority_exponent", priority_exponent, 0)
    within("importance_exponent", importance_exponent, 0, 1)

    def init(example: Rollout) -> State:
        steps, around = example.steps, capacity // example.steps.reward.shape[1]
        if around < length or around % stride:
            raise UsageError(
                f"capacity is {capacity}, {around} steps of each row: expected at least the {length} of a window, and "
                f"a multiple of the stride, {stride}"
            )
        carries = jax.tree.map(lambda x: jnp.zeros((around // stride, *x.shape[1:]), x.dtype), steps.extras)
        num_windows = (around // stride + 1) * steps.reward.shape[1]
        tree = () if priority_exponent is None else sum_tree.init(num_windows)
        return State(storage.init(_without_extras(example), capacity, max_ends), carries, tree, jnp.ones(()))

    def add(state: State, rollout: Rollout) -> State:
        num_blocks, num_steps = _num_blocks(state.steps, stride), rollout.steps.reward.shape[0]
        begin = state.steps.head // storage.sizes(state.steps)[1]
        starts = -begin % stride + jnp.arange(-(-num_steps // stride)) * stride  # of windows, in the rollout
        blocks = jnp.where(starts < num_steps, (begin + starts) // stride % num_blocks, num_blocks)
        new = jax.tree.map(lambda x: x[jnp.minimum(starts, num_steps - 1)], rollout.steps.extras)
        carries = jax.tree.map(lambda old, new: old.at[blocks].set(new, mode="drop"), state.carries, new)
        tree = state.tree
        if priority_exponent is not None:
            num_rows = storage.sizes(state.steps)[1]
            windows = (blocks[:, None] * num_rows + jnp.arange(num_rows)).reshape(-1)
            numbers = jnp.where(starts < num_steps, state.highest, 0.0)
            tree = sum_tree.write(tree, windows, jnp.repeat(numbers, num_rows))
        return State(storage.add(state.steps, _without_extras(rollout)), carries, tree, state.highest)

    def sample(state: State, key: Key, discount: Array | float) -> Sample:
        num_rows = storage.sizes(state.steps)[1]
        first, count = _windows(state.steps, length, stride)
        if priority_exponent is None:
            # A remainder favours no window by more than C / 2^32 of its share.
            draw = jax.random.bits(key, (batch_size,)) % jnp.maximum(count * num_rows, 1).astype(jnp.uint32)
            block, row = jnp.divmod(draw.astype(jnp.int32), num_rows)
            block, weights = (first + block) % _num_blocks(state.steps, stride), jnp.ones(batch_size)
        else:
            windows, numbers = _draw(state, key, first, count, batch_size, stride)
            block, row = jnp.divmod(windows, num_rows)
            weights = jnp.exp(-importance_exponent * jnp.log(numbers / numbers.min()))
        return Sample(read(state, block, row), block * num_rows + row, weights)

    def read(state: State, block: Array, row: Array) -> Rollout:
        num_rows = storage.sizes(state.steps)[1]
        slots = storage.later(state.steps, block * stride * num_rows + row, jnp.arange(length)[:, None])
        carry = jax.tree.map(lambda x: x.at[block, row].get(mode="promise_in_bounds"), state.carries)
        return Rollout(storage.read(state.steps, slots), carry)

    def update(state: State, indices: Array, priorities: Array) -> State:
        if priority_exponent is None:
            return state
        numbers, highest = sum_tree.powers(priorities, priority_exponent, priority_floor, state.highest)
        return state._replace(tree=sum_tree.write(state.tree, indices, numbers), highest=highest)

    def ready(state: State) -> Array:
        return storage.has_seen(state.steps, least) & (_windows(state.steps, length, stride)[1] > 0)

    return Buffer(init, add, sample, update, ready)


def _windows(state: Storage, length: int, stride: int) -> tuple[Array, Array]:
    """The first block, and the number of blocks from it on, whose windows of L steps are held as a whole."""
    capacity, num_rows, _ = storage.sizes(state)
    oldest, held = storage.held(state, jnp.int32(0)) // num_rows, state.size // num_rows
    skipped = -oldest % stride
    count = jnp.maximum((held - skipped - length) // stride + 1, 0)
    return (oldest + skipped) // stride % _num_blocks(state, stride), count


def _draw(state: State, key: Key, first: Array, count: Array, batch_size: int, stride: int) -> tuple[Array, Array]:
    """(windows [B], their p^a [B]) of `count` blocks from the first on: one of each of B equal parts of their mass."""
    num_blocks, num_rows = _num_blocks(state.steps, stride), storage.sizes(state.steps)[1]
    begin, end = sum_tree.before(state.tree, jnp.stack([first, (first + count) % num_blocks]) * num_rows)
    around = (first + count >= num_blocks) & (count > 0)
    mass = end - begin + jnp.where(around, sum_tree.total(state.tree), 0.0)
    windows, numbers = sum_tree.draw(state.tree, key, begin, mass, batch_size)
    outside = (windows // num_rows - first) % num_blocks >= count  # rounding may lead there, by a hair
    windows = jnp.where(outside, first * num_rows + windows % num_rows, windows)
    return windows, numbers


def _num_blocks(state: Storage, stride: int) -> int:
    capacity, num_rows, _ = storage.sizes(state)
    return capacity // num_rows // stride


def _without_extras(rollout: Rollout) -> Rollout:
    return rollout._replace(steps=rollout.steps._replace(extras=()))
