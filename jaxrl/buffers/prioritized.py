"""Prioritised experience replay, proportional (Schaul et al. 2016).

P(i) = p_i^a / sum_k p_k^a                     p_i = |TD error| + floor; the highest so far for what was never dealt
w_i  = (size * P(i))^-b / max over the batch   b from importance_start to 1 over importance_updates
"""

from typing import NamedTuple

import jax.numpy as jnp

from jaxrl import trees
from jaxrl.buffers import memory, storage, sum_tree
from jaxrl.buffers.storage import Storage
from jaxrl.buffers.uniform import smallest
from jaxrl.errors import at_least, within
from jaxrl.types import Array, Buffer, Key, Rollout, Sample


class State(NamedTuple):
    storage: Storage
    tree: sum_tree.Tree  # p^a of each slot; 0 where nothing valid was written
    highest: Array  # float32: the highest p^a so far
    updates: Array  # int32: calls of update
    exponent: Array  # float32: b, of the importance weights


def prioritized(
    capacity: int,
    batch_size: int,
    min_size: int | None = None,
    num_steps: int = 1,
    max_ends: int | None = None,
    priority_exponent: float = 0.6,
    importance_start: float = 0.4,
    importance_updates: int = 100_000,
    priority_floor: float = 1e-6,
) -> Buffer:
    """A ring of C transitions; `sample` draws B n-step experiences of those held in proportion to p^a, in O(B log C).

    The draws are stratified: one from each B-th part of the mass. `update` sets the priorities of what was dealt, from
    errors [B], and passes over indices of -1; each call of it brings the importance exponent closer to 1, which it
    reaches after importance_updates.
    """
    least = smallest(capacity, batch_size, min_size)
    at_least("num_steps", num_steps, 1)
    at_least("importance_updates", importance_updates, 1)
    at_least("priority_exponent", priority_exponent, 0)
    within("importance_start", importance_start, 0, 1)

    def init(example: Rollout) -> State:
        extra = sum_tree.num_bytes(capacity)
        memory.check_fits(sum(storage.num_bytes(example, capacity, max_ends).values()) + extra, capacity)
        room = storage.init(example, capacity, max_ends)
        start = jnp.full((), importance_start, jnp.float32)
        return State(room, sum_tree.init(capacity), jnp.ones(()), jnp.zeros((), jnp.int32), start)

    def add(state: State, rollout: Rollout) -> State:
        valid = rollout.steps.valid.reshape(rollout.steps.valid.shape[0] * rollout.steps.valid.shape[1], -1).any(-1)
        numbers = jnp.where(valid, state.highest, 0.0)
        tree = sum_tree.write_range(state.tree, state.storage.head, numbers)
        return state._replace(storage=storage.add(state.storage, rollout), tree=tree)

    def sample(state: State, key: Key, discount: Array | float) -> Sample:
        slots, numbers = draw(state, key, batch_size)
        weights = weigh(state, numbers, numbers.min())
        return Sample(storage.read_steps(state.storage, slots, num_steps, discount), slots, weights)

    def update(state: State, indices: Array, priorities: Array) -> State:
        numbers, highest = sum_tree.powers(priorities, priority_exponent, priority_floor, state.highest)
        tree = sum_tree.write(state.tree, indices, numbers)
        updates = trees.count_up(state.updates, 1)
        exponent = importance_start + (1 - importance_start) * jnp.minimum(updates / importance_updates, 1.0)
        return State(state.storage, tree, highest, updates, exponent)

    def ready(state: State) -> Array:
        return storage.has_seen(state.storage, least)

    return Buffer(init, add, sample, update, ready)


def masses(state: State) -> tuple[Array, Array]:
    """(mass held, mass of the slots before the oldest held): what was dropped keeps its priority and is left out."""
    room = state.storage
    oldest = storage.held(room, jnp.zeros((), jnp.int32))
    up_to_oldest, up_to_head = sum_tree.before(state.tree, jnp.stack([oldest, room.head]))
    around = jnp.where((room.head <= oldest) & (room.size > 0), sum_tree.total(state.tree), 0.0)
    return up_to_head - up_to_oldest + around, up_to_oldest


def mass(state: State) -> Array:
    """float []: the sum of p^a over what is held."""
    return masses(state)[0]


def numbers_of(state: State, slots: Array) -> Array:
    """The p^a [B] of slots [B]."""
    return state.tree[0][slots]


def weigh(state: State, numbers: Array, lowest: Array) -> Array:
    """Importance weights [B] of draws with these p^a [B], the lowest of which in the batch has weight 1."""
    return jnp.exp(-state.exponent * jnp.log(numbers / lowest))


def draw(state: State, key: Key, count: int) -> tuple[Array, Array]:
    """(slots [B], their p^a [B]): one from each of B equal parts of the mass held."""
    held, start = masses(state)
    slots, numbers = sum_tree.draw(state.tree, key, start, held, count)
    number = storage.number(state.storage, slots)  # rounding may lead beyond an end of what is held, by a hair
    slots = jnp.where(number < 0, storage.held(state.storage, jnp.zeros((), jnp.int32)), slots)
    return slots, numbers
