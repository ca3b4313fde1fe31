"""Where things are in the storage room: its state, what a slot holds, and the arithmetic of slots around the ring."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrl.buffers.packing import Packed, num_columns
from jaxrl.types import Array, Key, Observation, Transition, Tree


class Storage(NamedTuple):
    packed: Packed  # [C + N + F, columns] for each width; [C, columns] where no observation has a part in it
    owners: Array  # uint32 [F]: the time at which each row of the side table was written for
    example: Transition  # [0, N, ...]: the structure to unpack into; holds no numbers
    head: Array  # int32: the slot to write next
    size: Array  # int32: transitions held, the newest ones
    cursor: Array  # int32: the row of the side table to write next
    time: Array  # uint32: steps of each row so far, around 2^32


class Flags(NamedTuple):
    first: Array  # bool [..., *A]
    terminated: Array
    truncated: Array
    valid: Array

    @property
    def ended(self) -> Array:
        return self.terminated | self.truncated


class Slot(NamedTuple):
    """What a slot holds, in the order of its columns; a row of tail or side table holds the first of them."""

    obs: Observation
    reward: Array
    flags: Array  # uint8 [..., *A]
    action: Tree
    extras: Tree


def sizes(state: Storage) -> tuple[int, int, int]:
    """(C, N, F): slots, rows, and rows of the side table."""
    num_rows, ends = state.example.reward.shape[1], state.owners.shape[0]
    return state.packed[4].shape[0] - num_rows - ends, num_rows, ends


def has_seen(state: Storage, count: int) -> Array:
    """bool: whether that many transitions were added, be they still held or not."""
    num_rows = sizes(state)[1]
    return (state.size >= count) | (state.time >= -(-count // num_rows))


def held(state: Storage, number: Array) -> Array:
    """The slots [...] of the transitions with these numbers [...]: 0 is the oldest held, size - 1 the newest."""
    capacity = sizes(state)[0]
    return (state.head - state.size + number + capacity) % capacity


def pick(state: Storage, key: Key, count: int) -> Array:
    """Slots int32 [B] of transitions held, each as likely as any other, with replacement."""
    # A remainder favours no slot by more than C / 2^32 of its share.
    number = jax.random.bits(key, (count,)) % jnp.maximum(state.size, 1).astype(jnp.uint32)
    return held(state, number.astype(jnp.int32))


def number(state: Storage, slots: Array) -> Array:
    """The inverse of `held`: int32 [...], negative for slots [...] that are not held."""
    capacity = sizes(state)[0]
    return state.size - 1 - (state.head - 1 - slots + capacity) % capacity


def later(state: Storage, slots: Array, steps: Array | int) -> Array:
    """The slots [...] of the same rows some steps later (negative: earlier), around the ring."""
    capacity, num_rows, _ = sizes(state)
    return (slots + steps * num_rows) % capacity


def steps_left(state: Storage, slots: Array) -> Array:
    """Steps of their row from slots [...] up to the newest, both counted: int32 [...], at least 1 for what is held."""
    capacity, num_rows, _ = sizes(state)
    return (state.head - 1 - slots + capacity) % capacity // num_rows + 1


def columns(steps: Transition) -> tuple[dict[int, int], dict[int, int]]:
    """{width: columns} of a slot, and of the part of it that tail and side table hold."""
    front = (steps.obs, steps.reward)
    flags = jax.ShapeDtypeStruct(steps.reward.shape, jnp.uint8)
    return num_columns((*front, flags, steps.action, steps.extras), 2), num_columns(front, 2)


def pack_flags(steps: Transition) -> Array:
    """The four flags of steps [...] as bits of uint8 [...]."""
    first, terminated, truncated, valid = (
        flag.astype(jnp.uint8) for flag in (steps.first, steps.terminated, steps.truncated, steps.valid)
    )
    return first | terminated << 1 | truncated << 2 | valid << 3


def unpack_flags(packed: Array) -> Flags:
    """The inverse of `pack_flags`."""
    return Flags(*(packed & jnp.uint8(1 << bit) != 0 for bit in range(4)))


def any_agent(flag: Array, batch_axes: int) -> Array:
    """Over the agents of a row, if it has several."""
    return flag.any(tuple(range(batch_axes, flag.ndim)))


def spread(x: Array | float, like: Array) -> Array | float:
    """x [...] with axes of size 1 behind it, for the agents of `like` [..., *A]."""
    return jnp.reshape(x, jnp.shape(x) + (1,) * (like.ndim - jnp.ndim(x))) if jnp.ndim(x) else x


def take(array: Array, rows: Array, begin: int = 0, count: int | None = None) -> Array:
    """Rows [...] of an array, or some columns of them."""
    columns = slice(begin, None if count is None else begin + count)
    return array.at[rows, columns].get(mode="promise_in_bounds", wrap_negative_indices=False)


def write(array: Array, rows: Array, start: Array | int) -> Array:
    """An array with rows [M, ...] in place of its own from start on."""
    return jax.lax.dynamic_update_slice_in_dim(array, rows, start, 0)
