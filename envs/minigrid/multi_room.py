"""MultiRoom (MiniGrid): get to the goal through a chain of rooms of random sizes, each behind a door of another colour.

Limit: 20 * max_rooms steps.
Start: the chain grows from a random room; from each room the next one starts at a random place of a random other wall;
a chain that cannot go on after eight tries is given up for a new one. The agent is at a random place in the first room,
the goal in the last. The rest as in `world`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid.cells import CLOSED, EMPTY, GREEN_GOAL, GREY_WALL, NUM_COLOURS
from jaxrl.envs.minigrid.levels import columns_and_rows, skip, whole
from jaxrl.envs.minigrid.rules import Level
from jaxrl.envs.minigrid.world import world
from jaxrl.errors import UsageError, within
from jaxrl.types import Array, Environment, Key

SIDE, SMALLEST, TRIES = 25, 4, 8


class Chain(NamedTuple):
    """The rooms so far."""

    top: Array  # int32 [R, 2] x and y of the upper left corner
    size: Array  # int32 [R, 2] width and height, with walls
    door: Array  # int32 [R, 2] x and y of the entry
    wall: Array  # int32 [R] of the entry: 0 right, 1 lower, 2 left, 3 upper
    length: Array  # int32
    tries: Array  # int32 left for the next room
    drawn: Array  # int32 times that something was drawn


def multi_room(
    min_rooms: int = 4,
    max_rooms: int = 4,
    max_room_size: int = 5,
    view: str = "egocentric",
    reward: str = "minigrid",
    max_steps: int | None = None,
) -> Environment:
    """25 x 25 cells; MiniGrid's have (min_rooms, max_rooms, max_room_size) (2, 2, 4), (4, 4, 5) and (6, 6, 10)."""
    within("min_rooms", min_rooms, 1, 8)
    within("max_room_size", max_room_size, SMALLEST, 10)
    if not min_rooms <= max_rooms <= 8:
        raise UsageError(f"max_rooms is {max_rooms}: expected from min_rooms, {min_rooms}, to 8")
    x, y = columns_and_rows((SIDE, SIDE))

    def level(key: Key) -> Level:
        chain_key, key = jax.random.split(key)
        uniform = jax.random.uniform(key, (max_rooms + 4,))
        length = whole(uniform[0], min_rooms, max_rooms + 1)
        chain = _grow(chain_key, max_rooms, max_room_size, length)
        cells, colour = jnp.full(SIDE * SIDE, EMPTY), whole(uniform[4], 0, NUM_COLOURS)
        for i in range(max_rooms):
            dx, dy = x - chain.top[i, 0], y - chain.top[i, 1]
            width, height = chain.size[i]
            within_room = (dx >= 0) & (dy >= 0) & (dx < width) & (dy < height) & (i < length)
            edge = within_room & ((dx == 0) | (dy == 0) | (dx == width - 1) | (dy == height - 1))
            cells = jnp.where(edge, GREY_WALL, cells)
            if i > 0:
                colour = skip(whole(uniform[4 + i - 1], 0, NUM_COLOURS - 1), colour) if i > 1 else colour
                door = edge & (x == chain.door[i, 0]) & (y == chain.door[i, 1])
                cells = jnp.where(door, CLOSED + 16 * colour, cells)
        agent = _inside(uniform[1], chain, 0, SIDE * SIDE)
        goal = _inside(uniform[2], chain, length - 1, agent)
        return Level(jnp.where(x * SIDE + y == goal, GREEN_GOAL, cells), agent, whole(uniform[3], 0, 4))

    limit = 20 * max_rooms if max_steps is None else max_steps
    return world((SIDE, SIDE), level, max_steps=limit, view=view, reward=reward)


def _inside(uniform: Array, chain: Chain, room: Array | int, taken: Array | int) -> Array:
    """int32 []: a uniform position inside of a room, other than the taken one."""
    (left, top), (width, height) = chain.top[room] + 1, chain.size[room] - 2
    dx, dy = taken // SIDE - left, taken % SIDE - top
    crowded = (dx >= 0) & (dx < width) & (dy >= 0) & (dy < height)
    n = whole(uniform, 0, width * height - crowded)
    n = jnp.where(crowded, skip(n, dx * height + dy), n)
    return (left + n // height) * SIDE + top + n % height


def _grow(key: Key, max_rooms: int, max_size: int, length: Array) -> Chain:
    """A chain of `length` rooms."""

    def attempt(chain: Chain) -> Chain:
        uniform = jax.random.uniform(jax.random.fold_in(key, chain.drawn), (5,))
        size = whole(uniform[:2], SMALLEST, max_size + 1)
        last = jnp.maximum(chain.length - 1, 0)
        first = chain.length == 0
        wall, door = _exit(uniform[2:4], chain, last)
        wall, door = jnp.where(first, 2, wall), jnp.where(first, whole(uniform[2:4], 0, SIDE - 2), door)
        top = jnp.where(first, door, _corner(uniform[4], wall, door, size))
        fits = _fits(chain, top, size)
        slot = jnp.where(np.arange(max_rooms) == chain.length, fits, False)
        tries = jnp.where(fits | first, TRIES, chain.tries - 1)
        news, olds = (top, size, door, wall), (chain.top, chain.size, chain.door, chain.wall)
        parts = [jnp.where(slot.reshape(-1, *[1] * new.ndim), new, old) for new, old in zip(news, olds, strict=True)]
        grown, left = jnp.where(tries == 0, 0, chain.length + fits), jnp.where(tries == 0, TRIES, tries)
        return Chain(parts[0], parts[1], parts[2], parts[3], grown, left, chain.drawn + 1)

    nothing, zero = jnp.zeros((max_rooms, 2), jnp.int32), jnp.int32(0)
    empty = Chain(nothing, nothing, nothing, nothing[:, 0], zero, jnp.int32(TRIES), zero)
    return jax.lax.while_loop(lambda chain: chain.length < length, attempt, empty)


def _exit(uniform: Array, chain: Chain, last: Array) -> tuple[Array, Array]:
    """(the wall of the next room that its entry is in, the entry's x and y), from the last room of the chain."""
    wall = skip(whole(uniform[0], 0, 3), chain.wall[last])
    corner, size = chain.top[last], chain.size[last]
    along = corner + whole(uniform[1], 1, size - 1)
    across = jnp.where(wall < 2, corner + size - 1, corner)
    return (wall + 2) % 4, jnp.where(np.arange(2) == wall % 2, across, along)


def _corner(uniform: Array, wall: Array, door: Array, size: Array) -> Array:
    """int32 [2]: where a room of that size begins, whose entry is at a random place of that wall."""
    along, across = whole(uniform, door - size + 2, door), jnp.where(wall < 2, door - size + 1, door)
    return jnp.where(np.arange(2) == wall % 2, across, along)


def _fits(chain: Chain, top: Array, size: Array) -> Array:
    """bool []: the room lies on the map, and off all rooms of the chain but the last."""
    on_map = jnp.all(top >= 0) & (top[0] + size[0] <= SIDE) & (top[1] + size[1] < SIDE)
    apart = jnp.any((top + size < chain.top) | (chain.top + chain.size <= top), 1)
    return on_map & jnp.all(apart | (np.arange(chain.wall.size) >= chain.length - 1))
