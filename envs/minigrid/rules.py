"""The rules of MiniGrid (Chevalier-Boisvert et al. 2023; the package minigrid 3.2): what each of the actions does.

A position is x * H + y in a map of W columns of H cells, x to the right and y down; directions are 0 right, 1 down,
2 left, 3 up. Besides the map the state holds what stands in the way of sight, as bits, so that what is visible is
found without looking at cells.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid.cells import (
    BOX,
    CARRIED,
    CLOSED,
    EMPTY,
    FILLED,
    GREY_WALL,
    KEY,
    LOCKED,
    OPAQUE,
    OPEN,
    OVERLAPPED,
    members,
)
from jaxrl.types import Array

LEFT, RIGHT, FORWARD, PICKUP, DROP, TOGGLE, DONE = range(7)
MARGIN = 3  # cells that are seen to either side of the agent
LARGEST = 32 - 2 * MARGIN  # cells in a line whose sight fits into the bits of one word


class State(NamedTuple):
    cells: Array  # uint8 [W * H + 2] the map, what lies outside of it (a wall), and what is carried (or empty)
    sight: Any  # uint32 [W + H + 1] see `clear_lines`; () where nothing can hide, or no view asks
    numbers: Array  # int32 [6 + k] position, direction, time, target, content, success, and k more of the world's own

    @property
    def position(self) -> Array:
        """int32 []."""
        return self.numbers[0]

    @property
    def direction(self) -> Array:
        """int32 []."""
        return self.numbers[1]

    @property
    def time(self) -> Array:
        """int32 []: steps of this episode."""
        return self.numbers[2]

    @property
    def target(self) -> Array:
        """int32 []: a position, or a code, that decides the episode."""
        return self.numbers[3]

    @property
    def content(self) -> Array:
        """int32 []: the code of what filled boxes hold."""
        return self.numbers[4]

    @property
    def success(self) -> Array:
        """int32 []: 1 when the episode ended well."""
        return self.numbers[5]

    @property
    def others(self) -> Array:
        """int32 [k]: the world's own numbers."""
        return self.numbers[6:]

    @property
    def carried(self) -> Array:
        """uint8 []: the code of what the agent carries."""
        return self.cells[-1]


class Level(NamedTuple):
    """What a level generator gives: a map with the agent in it."""

    cells: Array  # int [W * H]
    position: Array  # int []
    direction: Array  # int []
    target: Any = 0
    others: Sequence[Any] = ()


def start(level: Level, shape: tuple[int, int], occluded: bool) -> State:
    """The first state of a level on a map of shape (W, H)."""
    cells = jnp.concatenate([level.cells.astype(jnp.uint8), np.array([GREY_WALL, EMPTY], np.uint8)])
    numbers = [level.position, level.direction, 0, level.target, EMPTY, 0, *level.others]
    packed = jnp.stack([jnp.asarray(number, jnp.int32) for number in numbers])
    return State(cells, clear_lines(cells[:-2].reshape(shape)) if occluded else (), packed)


def clear_lines(grid: Array) -> Array:
    """uint32 [W + H + 1]: the cells of each column of the map [W, H], then of each row, that can be seen through.

    Bit `MARGIN` + i of a line is its cell i; beyond the map all is opaque, as in the last line, which lies outside.
    """
    clear = ((members(OPAQUE) >> (grid & 15).astype(jnp.uint32)) & 1) ^ 1
    bits = [np.uint32(1) << np.arange(MARGIN, MARGIN + n, dtype=np.uint32) for n in (grid.shape[1], grid.shape[0])]
    lines = [jnp.sum(clear * bits[0], 1, dtype=jnp.uint32), jnp.sum(clear.T * bits[1], 1, dtype=jnp.uint32)]
    return jnp.concatenate([*lines, np.zeros(1, np.uint32)])


def ahead(state: State, height: int) -> Array:
    """int32 []: the position in front of the agent."""
    d = state.direction
    return state.position + jnp.where(d & 1 == 0, height * (1 - d), 2 - d)


def act(state: State, action: Array, shape: tuple[int, int]) -> tuple[State, Array]:
    """(the state after one of the seven actions, int32 [] what the agent had in front of it)."""
    front = settled(ahead(state, shape[1]))
    cell, carried = read(state.cells, front).astype(jnp.int32), state.carried.astype(jnp.int32)
    kind, colour = cell & 15, cell & 0xF0
    picks = (action == PICKUP) & among(kind, CARRIED) & (carried == EMPTY)
    drops = (action == DROP) & (cell == EMPTY) & (carried != EMPTY)
    left = jnp.where(action == TOGGLE, toggled(state, cell, kind, colour, carried), cell)
    left = jnp.where(picks, EMPTY, jnp.where(drops, carried, left))
    carried = jnp.where(picks, cell, jnp.where(drops, EMPTY, carried))
    slots = jnp.stack([front, jnp.int32(state.cells.size - 1)])
    values = jnp.stack([left, carried]).astype(jnp.uint8)
    position = jnp.where((action == FORWARD) & among(kind, OVERLAPPED), front, state.position)
    direction = (state.direction + (action == RIGHT) - (action == LEFT)) & 3
    position, direction = settled(position), settled(direction)
    numbers = jnp.stack([position, direction, state.time + 1, *state.numbers[3:]])
    return State(
        write(state.cells, slots, values), _seen_through(state.sight, front, kind, left & 15, shape), numbers
    ), cell


def settled(x: Array) -> Array:
    """x [], int32 or uint32 below 2^29, worked out once.

    Where a cheap number decides about many cells, XLA's CPU backend works it out again for every one of them, several
    times slower for a view; what ends in a division it computes beforehand.
    """
    three = jnp.asarray(3, x.dtype)
    return jax.lax.div(x * three, three)


def among(kind: Array, kinds: tuple[int, ...]) -> Array:
    """bool []: the kind is one of `kinds`."""
    return (members(kinds) >> kind.astype(jnp.uint32)) & 1 == 1


def read(x: Array, index: Array) -> Array:
    """x [n, ...] at index [...], which is never out of bounds."""
    return x.at[index].get(mode="promise_in_bounds")


def write(x: Array, index: Array, values: Array) -> Array:
    """x [n] with values [k] at index [k], all different. (A scatter, which XLA never works out twice.)"""
    return x.at[index].set(values, mode="promise_in_bounds", unique_indices=True)


def toggled(state: State, cell: Array, kind: Array, colour: Array, carried: Array) -> Array:
    """What toggling makes of a cell: doors open and close, a locked one with its key only, boxes give their content."""
    opens = (kind == CLOSED) | ((kind == LOCKED) & (carried == KEY + colour))
    turned = jnp.where(opens, OPEN + colour, jnp.where(kind == OPEN, CLOSED + colour, cell))
    return jnp.where(kind == BOX, EMPTY, jnp.where(kind == FILLED, state.content, turned))


def _seen_through(sight: Any, front: Array, kind: Array, kind_after: Array, shape: tuple[int, int]) -> Any:
    """The lines of sight after the kind in front has changed: a door that opened or closed is one bit of two lines."""
    if isinstance(sight, tuple):
        return sight
    width, height = shape
    x, y = jax.lax.div(front, jnp.int32(height)), jax.lax.rem(front, jnp.int32(height))
    changed = (among(kind, OPAQUE) != among(kind_after, OPAQUE)).astype(jnp.uint32)
    bits = changed << (MARGIN + jnp.stack([y, x])).astype(jnp.uint32)
    return write(sight, jnp.stack([x, width + y]), bits ^ read(sight, jnp.stack([x, width + y])))


def with_success(state: State, success: Array) -> State:
    """The state, marked as the end of an episode that ended well, or not."""
    parts = [state.numbers[:5], success.astype(jnp.int32)[None], state.others]
    return state._replace(numbers=jnp.concatenate(parts))
