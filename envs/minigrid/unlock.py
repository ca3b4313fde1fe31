"""Unlock and UnlockPickup (MiniGrid): open the locked door; or fetch the box behind it.

Reward in `unlock` for toggling the door open, in `unlock_pickup` for picking up the box. Limit: 288 steps.
Start: two rooms; the door at a random place between them, the key in the left room, the box (only in `unlock_pickup`;
its colour is the mission) in the right one, not beside its middle; the agent in the left room, facing nothing but a
wall. Colours are random. The rest as in `world`.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxrl.envs.minigrid.cells import BOX, KEY, LOCKED, NUM_COLOURS, OPEN
from jaxrl.envs.minigrid.levels import whole
from jaxrl.envs.minigrid.rooms import inside, place_agent, room_grid
from jaxrl.envs.minigrid.rules import PICKUP, TOGGLE, Level, State, read
from jaxrl.envs.minigrid.world import world
from jaxrl.types import Array, Environment, Key

SIZE, MAX_STEPS = 6, 288


def unlock(view: str = "egocentric", reward: str = "minigrid", max_steps: int = MAX_STEPS) -> Environment:
    """Two rooms of 4 x 4 cells."""

    def judge(before: State, after: State, action: Array, front: Array) -> tuple[Array, Array]:
        opened = (action == TOGGLE) & (read(after.cells, after.target) & 15 == OPEN)
        return opened, jnp.bool_(False)

    shape = room_grid(2, 1, SIZE)[0]
    return world(
        shape, lambda key: _level(key, with_box=False), max_steps=max_steps, view=view, reward=reward, judge=judge
    )


def unlock_pickup(view: str = "egocentric", reward: str = "minigrid", max_steps: int = MAX_STEPS) -> Environment:
    """Two rooms of 4 x 4 cells."""
    shape = room_grid(2, 1, SIZE)[0]
    return world(
        shape, lambda key: _level(key, with_box=True), max_steps=max_steps, view=view, reward=reward,
        judge=took_target, mission=lambda state: state.target >> 4,
    )  # fmt: skip


def took_target(before: State, after: State, action: Array, front: Array) -> tuple[Array, Array]:
    """Success for picking up the one object whose code is the target."""
    return (action == PICKUP) & (after.carried == after.target), jnp.bool_(False)


def _level(key: Key, with_box: bool) -> Level:
    (width, height), rooms = room_grid(2, 1, SIZE)
    left, right = (inside(column, 0, SIZE, height) for column in (0, 1))
    middle = (SIZE - 1) + SIZE // 2, SIZE // 2
    right = right[abs(right // height - middle[0]) + abs(right % height - middle[1]) >= 2]
    uniform, cells = jax.random.uniform(key, (6,)), np.arange(width * height)
    door = (SIZE - 1) * height + whole(uniform[0], 1, SIZE - 1)
    colour, box = whole(uniform[1], 0, NUM_COLOURS), BOX + 16 * whole(uniform[2], 0, NUM_COLOURS)
    full = jnp.where(cells == door, LOCKED + 16 * colour, rooms)
    full = jnp.where(cells == jnp.asarray(left)[whole(uniform[3], 0, left.size)], KEY + 16 * colour, full)
    if with_box:
        full = jnp.where(cells == jnp.asarray(right)[whole(uniform[4], 0, right.size)], box, full)
    return Level(full, *place_agent(uniform[5], full, left, height), box if with_box else door)
